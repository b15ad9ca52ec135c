"""MNN on the CPU.

A file is computed in float32, except where its weights are stored in half precision or with `precision: fast`: then MNN
computes in half precision where the processor can, and in float32 elsewhere. Only MNN's compiled part is loaded: its
package would load tools that report to a server.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from . import _mnn_file, fed_shape
from .litert import check_device
from .ncnn import waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ._mnn_layers import CalledBack

SUFFIXES = (".mnn",)
WHEELS = {"MNN": "", "numpy": ""}
# y = relu(x), one float.
TINY_MODEL = (
    "IAAAABwAJAAIAAAADAAQABQABQAGABgAHAAHAAAAIAAcAAAAAAADAFABAAA4AQAAbAAAAFgAAAA4AAAAAAAAAAQAAAAkAAAAYTZmNWMxOWUtMTFh"
    "NS00MjE0LThmYzAtZWIzZjRkZDZjNjVkAAAAAAIAAAAQAAAABAAAAAEAAAB5AAAAAQAAAHgAAAABAAAABAAAAAEAAAB5AAAAAgAAAHAAAAAYAAAA"
    "AAASABwACAAGAAwAEAAUABgABwASAAAAAAAzATAAAAAkAAAAFAAAAAgAAABFAAAAAQAAAAEAAAABAAAAeQAGAAgABAAGAAAAAAAAAAEAAAAAAAAA"
    "AAASABgAAAAGAAgADAAQABQABwASAAAAAAAVASgAAAAUAAAACAAAACIAAAABAAAAAAAAAAEAAAB4AAoAEAAIAAwABwAKAAAAAAAAAAgAAAABAAAA"
    "AQAAAAEAAAAAAAoACAAAAAAABAAKAAAABAAAAAUAAAAzLjYuMQAAAAcAAABNTk5UZXN0AA=="
)

_FED = {"float32": "float", "int32": "int", "uint8": "uint8", "int8": "int8"}
_PRECISE, _HALF = ("high", "High"), ("low", "Low")


def facts(options: dict[str, Any]) -> dict[str, str]:
    check_device(options)
    import _mnncengine

    return {"version": _mnncengine.version()}


def load(path: str, options: dict[str, Any]) -> _MnnNetwork:
    return _MnnNetwork(path, options)


def profiled(path: str, options: dict[str, Any], scratch: str) -> CalledBack:
    import _mnncengine

    from ._mnn_layers import CalledBack

    plain = load(path, options)
    return CalledBack(_mnncengine, path, plain.precision, options["threads"], plain.inputs())


class _MnnNetwork:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        import _mnncengine
        import numpy

        self._numpy = numpy
        self._expr = _mnncengine._expr
        with Path(path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self._file = _mnn_file.MnnFile(content)
        self.outputs = self._file.outputs
        self._threads = options["threads"]
        half = self._file.is_half or options.get("precision", "file") == "fast"
        self.precision, mode = _HALF if half else _PRECISE
        self._module = self._loaded(_mnncengine._nn, path, mode)
        self._specs = [self._spec(*one, options.get("shapes", {})) for one in self._file.inputs]
        formats = [one.data_format for one in self._module.get_info()["inputs"]]
        self._fed = [self._placeholder(*one) for one in zip(self._specs, formats)]
        self._answers: list[Any] = []
        self.invoke: Callable[[], object] = self._inference()

    def _loaded(self, networks: Any, path: str, mode: str) -> Any:
        """The interface that copies what is fed: MNN's older one computes in the memory of its inputs."""
        expr = self._expr
        how = {"backend": "CPU", "numThread": self._threads, "precision": self.precision}
        self._manager = networks.create_runtime_manager((how,))
        module = networks.load_module_from_file(
            self._manager, [name for name, _, _ in self._file.inputs], self._file.outputs, path, False, True, False,
            expr.Backend.CPU, expr.MemoryMode.Normal, expr.PowerMode.Normal, getattr(expr.PrecisionMode, mode),
            self._threads,
        )  # fmt: skip
        if module is None:
            raise ValueError("MNN cannot load it")
        return module

    def _placeholder(self, spec: dict[str, Any], data_format: Any) -> Any:
        packed = data_format == self._expr.NC4HW4
        kind = getattr(self._expr, _FED[spec["dtype"]])
        return self._expr.placeholder(spec["shape"], self._expr.NCHW if packed else data_format, kind)

    def _spec(
        self, name: str, stored: Sequence[int | None], dtype: str, shapes: dict[str, Sequence[int]]
    ) -> dict[str, Any]:
        if dtype not in _FED:
            raise ValueError("input '%s' is a %s, which cannot be fed" % (name, dtype))
        shape = fed_shape(name, stored or [None] * len(shapes.get(name, ())), shapes)
        size = int(self._numpy.prod(shape)) * self._numpy.dtype(dtype).itemsize
        return {"name": name, "shape": shape, "dtype": dtype, "bytes": size}

    def _inference(self) -> Callable[[], object]:
        forward, fed = self._module.onForward, self._fed
        expected = len(self._file.outputs)

        def infer() -> None:
            self._answers = answers = forward(fed)
            if len(answers) != expected:
                raise RuntimeError("MNN stops without an answer: are the sizes of its inputs right?")

        return infer

    def inputs(self) -> list[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        spec = self._specs[index]
        self._fed[index].write(self._numpy.frombuffer(data, spec["dtype"]).reshape(spec["shape"]))

    def arrays(self) -> list[Any]:
        expr = self._expr
        plain = [expr.convert(one, expr.NCHW) if one.data_format == expr.NC4HW4 else one for one in self._answers]
        return [self._numpy.array(one.read()) for one in plain]

    def notes(self) -> dict[str, Any]:
        weights = "float16" if self._file.is_half else "float32"
        return {
            "weights": weights,
            "precision": {"asked": {"precision": self.precision}},
            "threads": self._threads,
            "waits": waits(),
        }
