"""ExecuTorch programs (.pte) on the CPU, by XNNPACK where the program hands it its operators; without torch.

A program is compiled: what it is computed in and which backend takes which part was decided when it was made.
"""

from __future__ import annotations

import collections
import ctypes
import mmap
from pathlib import Path

from . import _executorch_library, fed_shape
from ._pte_file import DTYPES, ProgramPort, PteFile
from .litert import check_device, installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SUFFIXES = (".pte",)
WHEELS = {"executorch": _executorch_library.VERSIONS, "numpy": ""}
# y = relu(x), one float, by XNNPACK.
TINY_MODEL = (
    "PAAAAEVUMTJlaDAwIAAAAMADAAAAAAAAAAQAAAAAAACAAQAAAAAAAAAAAAAQABgAAAAUABAADAAIAAQAEAAAABQAAAAkAAAATAAAAEwAAABMAAAA"
    "2P7//wQAAAABAAAAAAAAAAAAAAACAAAAJAAAAAwAAAAIABAAAAAEAAgAAACAAQAAAAAAAAAAAAAEAAQABAAAAAAAAAAAAAAAAQAAABwAAAAAABYA"
    "KAAkACAAHAAYABQAEAAMAAgABAAWAAAAJAAAADgAAABwAAAAcAAAANAAAADUAAAA2AAAAIgBAADUAgAAAgAAAAAAAAAAAAAAYAAAAAAAAAAAAAAA"
    "AQAAAAQAAAC+////DAAAAAwAAAAUAAAAAAAAALD///8BAAAAAAAAAQ4AAABYbm5wYWNrQmFja2VuZAAAAAAAAAEAAAAQAAAAAAAKABAADAAIAAQA"
    "CgAAAAwAAABAAAAAQAAAAAEAAAAMAAAACAAMAAsABAAIAAAAEAAAAAAAAAIIAAgAAAAEAAgAAAAEAAAAAgAAAAAAAAABAAAAAAAAAAAAAAABAAAA"
    "AQAAAAEAAAAAAAAAAgAAAFwAAAAEAAAAtP///xgAAAAABRIAEgARAAAADAAIAAAAAAAEABIAAAAUAAAAGAAAABwAAAAABgYACAAEAAYAAAABAAAA"
    "AQAAAAAAAAABAAAAAQAAAAgACgAJAAQACAAAABgAAAAABRIAFAATAAAADAAIAAAAAAAEABIAAAAQAAAAGAAAABwAAAAAAAAG5P///xAAAAABAAAA"
    "AQAAAAAAAAABAAAAAQAAAAgADAAIAAQACAAAAAgAAABEAAAAOQAAAFsxLCB7InR5cGUiOiBudWxsLCAiY29udGV4dCI6IG51bGwsICJjaGlsZHJl"
    "bl9zcGVjIjogW119XQAAAP4AAABbMSwgeyJ0eXBlIjogImJ1aWx0aW5zLnR1cGxlIiwgImNvbnRleHQiOiAibnVsbCIsICJjaGlsZHJlbl9zcGVj"
    "IjogW3sidHlwZSI6ICJidWlsdGlucy50dXBsZSIsICJjb250ZXh0IjogIm51bGwiLCAiY2hpbGRyZW5fc3BlYyI6IFt7InR5cGUiOiBudWxsLCAi"
    "Y29udGV4dCI6IG51bGwsICJjaGlsZHJlbl9zcGVjIjogW119XX0sIHsidHlwZSI6ICJidWlsdGlucy5kaWN0IiwgImNvbnRleHQiOiAiW10iLCAi"
    "Y2hpbGRyZW5fc3BlYyI6IFtdfV19XQAABwAAAGZvcndhcmQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAABYSDAwHgAgAAAAXAEAAIABAAAAAAAAAAAAAAAAIAAAAFhOMDEAABYAIAAEAAgADAAQABQAGAAAAAAAHAAWAAAA"
    "MAEAAOQAAABIAAAAAgAAADgAAAAsAAAABAAAAAEAAAAQAAAAAAAKAAgAAAAAAAQACgAAAAQAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAEAAAACAAAA"
    "WAAAAAwAAAAIAA4ABwAIAAgAAAAAAAABGAAAAAAAEgAYAAYACAAMAAAAAAAQABQAEgAAAAAAAQABAAAADAAAAAEAAAABAAAAAQAAAAEAAAAIAAwA"
    "BwAIAAgAAAAAAAABFAAAABAAGAAGAAgADAAAABAAFAAQAAAAAAABAAEAAAAMAAAAAQAAAAIAAAABAAAAAQAAAAEAAAAQAAAADAAUAAcACAAMABAA"
    "DAAAAAAAAAYkAAAAAQAAAAwAAAAIAAoAAAAEAAgAAAAAAIB/AAAGAAgABAAGAAAAAQAAAAEAAAAwAAAAAAAAAA=="
)


def facts(options: dict[str, Any]) -> dict[str, str]:
    check_device(options)
    import numpy  # noqa: F401  (its threads are not ExecuTorch's, and its import is no part of loading a network)

    return {"version": installed_version("executorch"), "backends": ", ".join(_executorch_library.Library().backends())}


def load(path: str, options: dict[str, Any]) -> ExecuTorchProgram:
    return ExecuTorchProgram(path, options)


class ExecuTorchProgram:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        import numpy

        self._numpy = numpy
        with Path(path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self.file = PteFile(content)
        library = _executorch_library.Library()
        there = library.backends()
        missing = sorted(set(self.file.backends) - set(there))
        if missing:
            raise ValueError("it needs %s, and this build has only %s" % (", ".join(missing), ", ".join(there)))
        self._threads = library.set_threads(options["threads"])
        self._method = _executorch_library.Method(library, path, self.file.method, self.file.kernels)
        self._held: list[Any] = []
        shapes = options.get("shapes", {})
        self._specs = [_spec(place, port, shapes) for place, port in enumerate(self.file.inputs)]
        self._fed = [self._buffer(one, spec) for one, spec in zip(self._checked(outputs=False), self._specs)]
        self._answers = [self._array(one) for one in self._checked(outputs=True)]
        self.outputs = ["output %d" % place for place in range(len(self._answers))]
        self.invoke: Callable[[], object] = self._inference()

    def _checked(self, *, outputs: bool) -> list[_executorch_library.TensorImpl]:
        """What the library has in memory must be what the file says: else its objects are laid out otherwise."""
        ports = self.file.outputs if outputs else self.file.inputs
        tensors = self._method.tensors(outputs=outputs)
        if len(tensors) != len(ports):
            raise RuntimeError("this version of ExecuTorch is laid out in another way")
        for tensor, port in zip(tensors, ports):
            if tensor.dim != len(port.shape) or list(tensor.sizes[: tensor.dim]) != port.shape:
                raise RuntimeError("this version of ExecuTorch is laid out in another way")
            _known(port.dtype)
        return tensors

    def _buffer(self, own: _executorch_library.TensorImpl, spec: dict[str, Any]) -> tuple[Any, Any]:
        """(the array that is fed, what ExecuTorch is given of it), in the order of axes that the program wants."""
        like = _executorch_library.TensorImpl.from_buffer_copy(own)
        held = self._numpy.zeros(spec["bytes"], self._numpy.uint8)
        like.data = held.ctypes.data
        self._held.append((held, like))
        return self._array(like), _executorch_library.evalue(like)

    def _array(self, tensor: _executorch_library.TensorImpl) -> Any:
        """A view of a tensor's memory."""
        numpy = self._numpy
        dtype = numpy.dtype(_known(DTYPES[tensor.dtype]))
        count = tensor.count * dtype.itemsize
        if not tensor.data:  # of an output that the program leaves to its caller
            held = numpy.zeros(count, numpy.uint8)
            tensor.data = held.ctypes.data
            self._held.append(held)
        memory = numpy.frombuffer((ctypes.c_uint8 * count).from_address(tensor.data), dtype)
        strides = [tensor.strides[axis] * dtype.itemsize for axis in range(tensor.dim)]
        return numpy.lib.stride_tricks.as_strided(memory, tensor.sizes[: tensor.dim], strides)

    def _inference(self) -> Callable[[], object]:
        """Inputs are handed over each time, as in an application: a program may compute in their memory."""
        method, library = self._method.address, self._method.library
        execute, set_input = library.execute, library.set_input
        fed = [(ctypes.addressof(value), place) for place, (_, value) in enumerate(self._fed)]

        def infer(_alive: object = self) -> None:  # its memory is what ExecuTorch is given
            for value, place in fed:
                failed = set_input(method, value, place)
                if failed:
                    raise RuntimeError("ExecuTorch refuses input %d: %s" % (place, _executorch_library.said(failed)))
            failed = execute(method)
            if failed:
                raise RuntimeError("ExecuTorch stops: %s" % _executorch_library.said(failed))

        return infer

    def inputs(self) -> list[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        array = self._fed[index][0]
        array[...] = self._numpy.frombuffer(data, array.dtype).reshape(array.shape)

    def arrays(self) -> list[Any]:
        return [self._numpy.array(one) for one in self._answers]

    def notes(self) -> dict[str, Any]:
        reported = collections.Counter(layer.precision for layer in self.file.xnnpack if layer.precision)
        return {
            "threads": self._threads, "backends": self.file.backends, "kernels": self.file.kernels,
            "precision": {"reported": dict(reported)},
        }  # fmt: skip


def _known(dtype: str) -> str:
    if dtype == "bfloat16" or dtype not in DTYPES.values():
        raise ValueError("a tensor of the type %s cannot be fed or read" % dtype)
    return dtype


def _spec(place: int, port: ProgramPort, shapes: dict[str, Any]) -> dict[str, Any]:
    """Programs do not name their inputs. One with open sizes is fed with the largest that it was made for."""
    import numpy

    name = "input %d" % place
    shape = fed_shape(name, port.shape, {name: shapes[""]} if "" in shapes else shapes)
    size = int(numpy.prod(shape)) * numpy.dtype(_known(port.dtype)).itemsize
    return {"name": name, "shape": shape, "dtype": port.dtype, "bytes": size}
