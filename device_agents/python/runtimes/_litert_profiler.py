"""LiteRT's own profiler, which its package has behind the C interface only: libLiteRt.so, by ctypes.

It belongs to another way into the same library, a compiled model instead of an interpreter, which runs the same kernels
but does more between two inferences. Times are whole microseconds.
"""

from __future__ import annotations

import ctypes
import re
import struct
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_void_p

from .. import layer_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# tflite::Profiler::EventType
_OPERATOR, _DELEGATED = 1 << 1, (1 << 2, 1 << 3)
_ON_CPU = 1
_TYPE_BYTES = 512  # more than a LiteRtRankedTensorType has
_UNTOUCHED = 0xA5
_TO_WRITE = 1
_TYPES = {"F32": "f32", "F16": "f16", "BF16": "bf16", "S32": "i32"}
_INTEGERS = re.compile(r"\b(?:QC|QS|QU|QD|S|U)\d+")


class CompiledNetwork:
    """A session whose inferences are profiled. plain: litert's on the same file."""

    def __init__(self, library: str, path: str, options: dict[str, Any], plain: Any) -> None:
        self._library = ctypes.CDLL(library)
        self._plain = plain
        self._held: list[Any] = []
        environment, model = c_void_p(), c_void_p()
        self._call("LiteRtCreateEnvironment", 0, None, byref(environment))
        self._call("LiteRtCreateModelFromFile", environment, path.encode(), byref(model))
        self._model = c_void_p()
        how = self._options(options["threads"])
        self._call("LiteRtCreateCompiledModel", environment, model, how, byref(self._model))
        self._profiler = c_void_p()
        self._call("LiteRtCompiledModelGetProfiler", self._model, byref(self._profiler))
        if not self._profiler:
            raise ValueError("this build of LiteRT has no profiler")
        self._number, signature = self._signature(model, plain.signature)
        self._inputs = self._buffers(environment, signature, "Input")
        self._outputs = self._buffers(environment, signature, "Output")
        self._order = self._order_of_inputs(signature)
        self._events: list[list[tuple[str, int, int, int]]] = []

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, name)
        function.restype = c_int
        status = function(*arguments)
        if status:
            raise RuntimeError("LiteRT's %s failed with status %d" % (name, status))

    def _options(self, threads: int) -> c_void_p:
        options = c_void_p()
        self._call("LiteRtCreateOptions", byref(options))
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _ON_CPU)
        kept = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
        profiling, threaded = b"enable_profiling = true\n", b"num_threads = %d\n" % threads
        settings = {b"runtime_options_string": profiling, b"xnnpack": threaded}
        for kind, text in settings.items():
            one, content = c_void_p(), ctypes.create_string_buffer(text)
            self._held += [content, kept]
            self._call("LiteRtCreateOpaqueOptions", kind, ctypes.cast(content, c_void_p), kept, byref(one))
            self._call("LiteRtAddOpaqueOptions", options, one)
        return options

    def _signature(self, model: c_void_p, wanted: str) -> tuple[int, c_void_p]:
        """The number of the one that is measured: by its name, else the first."""
        count = c_size_t()
        self._call("LiteRtGetNumModelSignatures", model, byref(count))
        found = c_void_p()
        for number in range(count.value):
            key = c_char_p()
            self._call("LiteRtGetModelSignature", model, c_size_t(number), byref(found))
            self._call("LiteRtGetSignatureKey", found, byref(key))
            if (key.value or b"").decode() == wanted:
                return number, found
        self._call("LiteRtGetModelSignature", model, c_size_t(0), byref(found))
        return 0, found

    def _buffers(self, environment: c_void_p, signature: c_void_p, kind: str) -> Any:
        count = c_size_t()
        self._call("LiteRtGetNumSignature%ss" % kind, signature, byref(count))
        found = (c_void_p * count.value)()
        for index in range(count.value):
            tensor, needs, made = c_void_p(), c_void_p(), c_void_p()
            about = (c_char * _TYPE_BYTES)()
            place = c_size_t(index)
            self._call("LiteRtGetSignature%sTensorByIndex" % kind, signature, place, byref(tensor))
            self._call("LiteRtGetRankedTensorType", tensor, about)
            self._call(
                "LiteRtGetCompiledModel%sBufferRequirements" % kind,
                self._model,
                c_size_t(self._number),
                place,
                byref(needs),
            )
            self._call("LiteRtCreateManagedTensorBufferFromRequirements", environment, about, needs, byref(made))
            found[index] = made.value
        return found

    def _order_of_inputs(self, signature: c_void_p) -> list[int]:
        """The places in the signature of the interpreter's inputs."""
        names = []
        for index in range(len(self._inputs)):
            tensor, name = c_void_p(), c_char_p()
            self._call("LiteRtGetSignatureInputTensorByIndex", signature, c_size_t(index), byref(tensor))
            self._call("LiteRtGetTensorName", tensor, byref(name))
            names.append((name.value or b"").decode())
        wanted = [one["name"] for one in self._plain.inputs()]
        return [names.index(one) for one in wanted] if sorted(names) == sorted(wanted) else list(range(len(wanted)))

    def inputs(self) -> list[dict[str, Any]]:
        known: list[dict[str, Any]] = self._plain.inputs()
        return known

    def feed(self, index: int, data: bytes) -> None:
        buffer, size, place = c_void_p(self._inputs[self._order[index]]), c_size_t(), c_void_p()
        self._call("LiteRtGetTensorBufferPackedSize", buffer, byref(size))
        if size.value != len(data):
            raise ValueError("its input %d has other sizes in the file than were fed" % index)
        self._call("LiteRtLockTensorBuffer", buffer, byref(place), _TO_WRITE)
        ctypes.memmove(place, data, len(data))
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def invoke(self) -> None:
        self._call(
            "LiteRtRunCompiledModel", self._model, c_size_t(self._number),
            c_size_t(len(self._inputs)), self._inputs, c_size_t(len(self._outputs)), self._outputs,
        )  # fmt: skip

    def begin_layers(self) -> None:
        self._events = []
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)

    def collect(self) -> None:
        """The events of the last inference: the profiler keeps a limited number."""
        count = c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, byref(count))
        if count.value:
            self._events.append(self._read(count.value))
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)

    def _read(self, count: int) -> list[tuple[str, int, int, int]]:
        """(name, kind, microseconds, operator) of each event. How long an event is depends on the version: as much of
        the memory for them as was written to.
        """
        raw = (ctypes.c_ubyte * (_TYPE_BYTES * count))()
        ctypes.memset(raw, _UNTOUCHED, len(raw))
        self._call("LiteRtGetProfilerEvents", self._profiler, count, raw)
        written = len(bytes(raw).rstrip(bytes([_UNTOUCHED])))
        words = -(-written // (8 * count))
        found = []
        for index in range(count):
            one = struct.unpack_from("<%dQ" % words, raw, 8 * words * index)
            name = ctypes.string_at(one[0]).decode(errors="replace") if one[0] else ""
            found.append((name, one[1] & 0xFFFFFFFF, one[3], one[-3]))
        return found

    def layers(self, count: int) -> list[dict[str, Any]]:
        series = [_operators(events) for events in self._events[-count:]]
        usual = [[name for name, _ in one] for one in series]
        # Loops and branches in a file may run other operators each time; then the last inference's count.
        alike = [one for one, names in zip(series, usual) if names == usual[-1]]
        names = layer_names.of_kernels(usual[-1], self._plain.operators())
        outputs = self._plain.output_names()  # of the network, not of a layer
        found = []
        for index, (kernel, name) in enumerate(zip(usual[-1], names)):
            about, of = _about(kernel), [] if name in outputs else layer_names.layers_of(name)
            found.append({
                **about, "name": " + ".join(of) or name or about["kind"], "parents": of,
                "ns": [1000 * one[index][1] for one in alike],
            })  # fmt: skip
        return found


def _operators(events: Sequence[tuple[str, int, int, int]]) -> list[tuple[str, int]]:
    """(name, microseconds) in the order in which they ran; of a delegate its own operators, not the whole."""
    found: list[tuple[str, int]] = []
    for name, kind, took, _ in events:
        if kind in _DELEGATED or (kind == _OPERATOR and "Delegate" not in name):
            found.append((name, took))
    return found


def _about(name: str) -> dict[str, str]:
    """XNNPACK names its operators "Convolution (NHWC, F32) IGEMM": kind, and kernel with its types."""
    kind, _, kernel = name.partition(" (")
    shown = "XNNPACK (" + kernel if kernel else "LiteRT"
    return {"kind": kind.strip(), "kernel": shown, "precision": _precision(kernel)}


def _precision(kernel: str) -> str:
    words = re.findall(r"[A-Z]+\d+", kernel)
    if any(_INTEGERS.fullmatch(word) for word in words if word not in _TYPES):
        return "i8"
    return next((_TYPES[word] for word in words if word in _TYPES), "")
