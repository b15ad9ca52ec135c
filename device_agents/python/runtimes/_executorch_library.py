"""ExecuTorch's own libraries without torch, by the standard library's ctypes.

The Python module of its wheel is linked with torch's libraries; what computes is not: those lie beside it and export
C++ functions, called here by their mangled names, which hold for the versions in `VERSIONS`, on x86-64 and ARM64. What
is relied on of the layout of its objects is checked against the file when a program is loaded.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from .litert import installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

VERSIONS = ">=1.5,<1.6"
_OWN = "1.5."
_LIBRARIES = ("kernels_optimized", "kernels_quantized", "backend_xnnpack")
_STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
_MODULE = "_ZN10executorch9extension6module6Module"
_METHOD = "_ZN10executorch7runtime6Method"
_POOL = "_ZN10executorch9extension10threadpool"
_NEW_MODULE = (
    _MODULE + "C1ERK" + _STRING + "NS2_8LoadModeESt10unique_ptrINS_7runtime11EventTracerESt14default_deleteISE_EE"
    "SC_INSD_15MemoryAllocatorESF_ISI_EESK_b"
)
_LOAD_METHOD = (
    _MODULE + "11load_methodERK" + _STRING + "PNS_7runtime21HierarchicalAllocatorEPNSB_11EventTracerE"
    "PKNSB_21LoadBackendOptionsMapESt6vectorINSB_6KernelESaISK_EE"
)
_FILE = 0  # read whole, as an application on a board would that has no use for the file afterwards
_MODULE_BYTES = 8192  # more than its object has
_TENSOR_TAG = 1
_NO_KERNEL = 0x14
_NAMED_MAX = 4
ERRORS = {
    0x10: "not supported", 0x12: "an argument does not fit", 0x13: "a type does not fit",
    _NO_KERNEL: "it has no kernel for one of its operators", 0x20: "something is not there",
    0x21: "out of memory", 0x22: "the file cannot be read", 0x23: "not a program of this version",
    0x30: "made by another version of a backend", 0x31: "out of memory in a backend",
}  # fmt: skip


class TensorImpl(ctypes.Structure):
    _fields_ = [
        ("sizes", ctypes.POINTER(ctypes.c_int32)),
        ("dim_order", ctypes.POINTER(ctypes.c_uint8)),
        ("strides", ctypes.POINTER(ctypes.c_int32)),
        ("data", ctypes.c_void_p),
        ("dim", ctypes.c_ssize_t),
        ("count", ctypes.c_ssize_t),
        ("count_max", ctypes.c_size_t),
        ("dtype", ctypes.c_int8),
        ("dynamism", ctypes.c_uint8),
        ("device", ctypes.c_int8 * 14),  # more than follows
    ]


class EValue(ctypes.Structure):
    _fields_ = [("tensor", ctypes.POINTER(TensorImpl)), ("tag", ctypes.c_uint32)]


class _String(ctypes.Structure):
    """libstdc++'s std::string."""

    _fields_ = [("text", ctypes.c_void_p), ("size", ctypes.c_size_t), ("own", ctypes.c_char * 16)]


class _Result(ctypes.Structure):
    """Result<Method*>, and enough behind it that both ABIs have it written to memory, as they do with the real one."""

    _fields_ = [("value", ctypes.c_void_p), ("has_value", ctypes.c_bool), ("more", ctypes.c_char * 48)]


class Library:
    """Raises ImportError where it is not installed, or another version is."""

    def __init__(self) -> None:
        folder, version = _folder(), installed_version("executorch")
        if not version.startswith(_OWN):
            raise ImportError("ExecuTorch %s is installed, and only %s is known here" % (version, VERSIONS))
        try:
            self._core = ctypes.CDLL(str(folder / "libexecutorch.so"), ctypes.RTLD_GLOBAL)
            self._pool = ctypes.CDLL(str(folder / "libexecutorch_threadpool.so"), ctypes.RTLD_GLOBAL)
            for name in _LIBRARIES:
                ctypes.CDLL(str(folder / ("libexecutorch_%s.so" % name)), ctypes.RTLD_GLOBAL)
            self.new_module = self._function(_NEW_MODULE, None, 7)
            self.load_method = self._function(_LOAD_METHOD, ctypes.c_uint32, 6)
            self.method = self._function(_MODULE + "6methodERK" + _STRING, _Result, 2)
            self.execute = self._function(_METHOD + "7executeEv", ctypes.c_uint32, 1)
            self.set_input = self._function(_METHOD + "9set_inputERKNS0_6EValueEm", ctypes.c_uint32, 3)
            evalue = ctypes.POINTER(EValue)
            self.input = self._function(_METHOD + "13mutable_inputEm", evalue, 2)
            self.output = self._function(_METHOD + "14mutable_outputEm", evalue, 2)
            self.inputs_size = self._function("_ZNK10executorch7runtime6Method11inputs_sizeEv", ctypes.c_size_t, 1)
            self.outputs_size = self._function("_ZNK10executorch7runtime6Method12outputs_sizeEv", ctypes.c_size_t, 1)
        except (OSError, AttributeError) as error:
            raise ImportError("this build of ExecuTorch is another than %s (%s)" % (VERSIONS, error)) from error
        self._core._ZN10executorch7runtime12runtime_initEv()

    def backends(self) -> list[str]:
        count = self._core._ZN10executorch7runtime27get_num_registered_backendsEv
        count.restype = ctypes.c_size_t
        return [self._backend(place) for place in range(count())]

    def _backend(self, place: int) -> str:
        name = self._core._ZN10executorch7runtime16get_backend_nameEm
        name.restype, name.argtypes = _Result, [ctypes.c_size_t]
        answer = name(place)
        return ctypes.string_at(answer.value).decode() if answer.value else ""

    def set_threads(self, count: int) -> int:
        """How many threads then compute, the calling one among them."""
        pool = self._pool[_POOL + "14get_threadpoolEv"]
        pool.restype = ctypes.c_void_p
        reset = self._pool[_POOL + "10ThreadPool24_unsafe_reset_threadpoolEj"]
        reset.restype, reset.argtypes = ctypes.c_bool, [ctypes.c_void_p, ctypes.c_uint32]
        have = self._pool["_ZNK10executorch9extension10threadpool10ThreadPool16get_thread_countEv"]
        have.restype, have.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
        if not reset(pool(), count):
            raise RuntimeError("ExecuTorch does not take %d threads" % count)
        threads: int = have(pool())
        return threads

    def _function(self, name: str, result: Any, arguments: int) -> Callable[..., Any]:
        found = self._core[name]
        found.restype = result
        found.argtypes = [ctypes.c_void_p] * arguments
        return found


class Method:
    """A method of a program, loaded. Raises ValueError if ExecuTorch refuses it. kernels: what it calls."""

    def __init__(self, library: Library, path: str, name: str, kernels: Iterable[str]) -> None:
        self.library = library
        self._module = ctypes.create_string_buffer(_MODULE_BYTES)
        self._path, self._name = _string(path), _string(name)
        self._none = [ctypes.c_void_p() for _ in range(3)]
        self._no_kernels = (ctypes.c_void_p * 3)()
        module, called = ctypes.addressof(self._module), ctypes.addressof(self._name[0])
        library.new_module(
            module, ctypes.addressof(self._path[0]), _FILE, *(ctypes.addressof(one) for one in self._none), 0
        )
        failed = library.load_method(module, called, None, None, None, ctypes.addressof(self._no_kernels))
        if failed:
            # Its log says which; those of other libraries than torch's are the likeliest.
            likeliest = sorted(kernels, key=lambda name: name.startswith("aten::"))[:_NAMED_MAX]
            called_for = ": %s" % ", ".join(likeliest) if failed == _NO_KERNEL else ""
            raise ValueError("ExecuTorch cannot load it: %s%s" % (said(failed), called_for))
        answer = library.method(module, called)
        if not answer.has_value or not answer.value:
            raise ValueError("ExecuTorch cannot load its method '%s'" % name)
        self.address: int = answer.value

    def tensors(self, *, outputs: bool = False) -> list[TensorImpl]:
        size, get = self.library.inputs_size, self.library.input
        if outputs:
            size, get = self.library.outputs_size, self.library.output
        values = [get(self.address, place).contents for place in range(size(self.address))]
        if any(one.tag != _TENSOR_TAG for one in values):
            raise ValueError("it takes or answers something that is not a tensor")
        return [one.tensor.contents for one in values]


def said(error: int) -> str:
    return "%s (error 0x%x)" % (ERRORS.get(error, "its log says more"), error)


def evalue(tensor: TensorImpl) -> EValue:
    return EValue(ctypes.pointer(tensor), _TENSOR_TAG)


def _string(text: str) -> tuple[_String, Any]:
    data = text.encode()
    held = ctypes.create_string_buffer(data)
    return _String(ctypes.addressof(held), len(data), b""), held


def _folder() -> Path:
    """Without importing the package, whose modules import torch."""
    import importlib.util

    found = importlib.util.find_spec("executorch")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (Path(folder) / "lib" / "libexecutorch.so").is_file():
            return Path(folder) / "lib"
    raise ImportError("No module named 'executorch'" if found is None else "this build of ExecuTorch has no libraries")
