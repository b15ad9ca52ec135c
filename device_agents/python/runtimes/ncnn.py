"""ncnn on the CPU: a .param file, and the .bin file with its weights beside it.

Left alone ncnn computes float32 files in half precision where the processor can. Here that is switched on only for
files whose weights are stored so, or with `precision: fast`.
"""

from __future__ import annotations

import array
import mmap
import os
import time
from pathlib import Path

from . import _ncnn_param, fed_shape
from .litert import check_device, installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SUFFIXES = (".param",)
WHEELS = {"ncnn": "", "numpy": ""}
# y = relu(x), one float.
TINY_MODEL = "Nzc2NzUxNwoyIDIKSW5wdXQgeCAwIDEgeCAwPTEKUmVMVSB5IDEgMSB4IHkK"

_HALF = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
_OTHERS = ("use_bf16_storage", "use_int8_inference", "use_packing_layout", "use_winograd_convolution")
# The mark before weights that are stored as float16, little-endian.
_HALF_MARK = b"\x47\x6b\x30\x01"
# Weights come in the order of the layers, those of the first ones soon.
_LOOKED_THROUGH_BYTES = 1 << 24


def facts(options: dict[str, Any]) -> dict[str, str]:
    check_device(options)
    import ncnn
    import numpy  # noqa: F401  (here: its threads are not ncnn's)

    return {"version": getattr(ncnn, "__version__", None) or installed_version("ncnn")}


def load(path: str, options: dict[str, Any]) -> NcnnNetwork:
    return NcnnNetwork(path, options)


def profiled(path: str, options: dict[str, Any], scratch: str) -> _LayerByLayer:
    return _LayerByLayer(path, options)


def product(kind: str, size: int, options: dict[str, Any], scratch: Path) -> Callable[[], object] | None:
    if kind != "float":
        return None
    path = scratch / "peak.param"
    about = "7767517\n2 2\nInput x 0 1 x 0=%d 1=%d\nInnerProduct y 1 1 x y 0=%d 1=0 2=%d\n"
    path.write_text(about % (size, size, size, size * size))
    path.with_suffix(".bin").write_bytes(bytes(4) + array.array("f", [0.01]).tobytes() * (size * size))
    try:
        network = NcnnNetwork(str(path), options)
        network.feed(0, bytes(4 * size * size))
    finally:
        path.unlink()
        path.with_suffix(".bin").unlink()
    return network.invoke


class NcnnNetwork:
    """net: ncnn's own object; lines: those of its file."""

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        import ncnn
        import numpy

        self._ncnn = ncnn
        self._numpy = numpy
        self.lines = _ncnn_param.layers(Path(path).read_text("utf-8", "replace"))
        unknown = sorted({one.kind for one in self.lines if ncnn.create_layer(one.kind) is None})
        if unknown:
            raise ValueError("ncnn does not have its layers: %s" % ", ".join(unknown))
        weights = _weights(Path(path))
        self._stored = "float16" if weights and _is_half(weights) else "float32"
        self.net = ncnn.Net()
        self._set(options)
        if self.net.load_param(path):
            raise ValueError("ncnn cannot read its .param file")
        if self.net.load_model(str(weights or os.devnull)):
            raise ValueError(
                "%s does not fit its .param file" % weights.name if weights
                else "its weights, a .bin file, are not beside it"
            )  # fmt: skip
        self._specs = [_spec(*one, options.get("shapes", {})) for one in _ncnn_param.inputs(self.lines)]
        places = dict(zip(self.net.input_names(), self.net.input_indexes()))
        self._fed = [[places[spec["name"]], None] for spec in self._specs]
        places = dict(zip(self.net.output_names(), self.net.output_indexes()))
        self.outputs = _ncnn_param.outputs(self.lines)
        self._outputs = [places[name] for name in self.outputs]
        self._answers: list[Any] = [None] * len(self._outputs)
        self.invoke: Callable[[], object] = self._inference()

    def _set(self, options: dict[str, Any]) -> None:
        self.net.opt.num_threads = options["threads"]
        if options.get("precision", "file") != "fast":
            for name in _HALF:
                setattr(self.net.opt, name, self._stored == "float16")

    def _inference(self) -> Callable[[], object]:
        create, fed, answers = self.net.create_extractor, self._fed, self._answers
        outputs = list(enumerate(self._outputs))

        def infer() -> None:
            extractor = create()
            for place, given in fed:
                extractor.input(place, given)
            for number, place in outputs:
                failed, answers[number] = extractor.extract(place)
                if failed:
                    raise RuntimeError("ncnn stops with status %d: are the sizes of its inputs right?" % failed)

        return infer

    def inputs(self) -> list[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        spec = self._specs[index]
        values = self._numpy.frombuffer(data, spec["dtype"]).reshape(spec["shape"][1:] or [1])
        # Copied: ncnn aligns each channel.
        self._fed[index][1] = self._ncnn.Mat(values).clone()

    def arrays(self) -> list[Any]:
        """With the batch of 1 that ncnn leaves out."""
        return [self._numpy.array(one)[None] for one in self._answers]

    def notes(self) -> dict[str, Any]:
        half = {name: getattr(self.net.opt, name) for name in _HALF}
        options = {name: getattr(self.net.opt, name) for name in _OTHERS}
        return {
            "weights": self._stored, "precision": {"asked": half}, "options": options,
            "threads": self.net.opt.num_threads, "waits": waits(),
        }  # fmt: skip


class _LayerByLayer(NcnnNetwork):
    """ncnn's package has no profiler. An extractor keeps what it has computed, so asking for each blob in turn runs
    one layer after the other.
    """

    CUT = True

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        super().__init__(path, options)
        self._steps = [one for one in self.lines if one.kind not in ("Input", "Split", "Noop", "MemoryData")]
        self._spent: list[list[int]] = [[] for _ in self._steps]
        self._shapes: list[list[int]] = [[] for _ in self._steps]
        self.invoke = self._one_by_one

    def _one_by_one(self) -> None:
        clock = time.perf_counter_ns
        extractor = self.net.create_extractor()
        for place, given in self._fed:
            extractor.input(place, given)
        for number, (layer, spent) in enumerate(zip(self._steps, self._spent)):
            made = None  # let go of: ncnn reuses the memory of what nobody else holds
            started = clock()
            for name in layer.tops:
                # 1: as the layer leaves it, not as an application would want it.
                failed, made = extractor.extract(name, 1)
                if failed:
                    raise RuntimeError("ncnn stops with status %d in layer '%s'" % (failed, layer.name))
            took = clock() - started
            if not self._shapes[number] and made is not None:
                self._shapes[number] = _sizes(made)
            made = None
            started = clock()
            for name in layer.tops:  # again, for what it takes to hand a blob out: a copy
                extractor.extract(name, 1)
            spent.append(max(0, took - (clock() - started)))

    def begin_layers(self) -> None:
        self._spent[:] = [[] for _ in self._steps]

    def layers(self, count: int) -> list[dict[str, Any]]:
        half = self.net.opt.use_fp16_arithmetic
        return [
            {"name": layer.name, "kind": layer.kind, "kernel": "ncnn", "precision": "f16" if half else "f32",
             "shape": shape, "ns": spent[-count:]}
            for layer, spent, shape in zip(self._steps, self._spent, self._shapes)
        ]  # fmt: skip


def _sizes(blob: Any) -> list[int]:
    """Of a blob whose channels may be packed by four, eight or sixteen."""
    whole = [blob.w, blob.h, blob.d, blob.c][: max(1, blob.dims)] if blob.dims != 3 else [blob.w, blob.h, blob.c]
    whole[-1] *= blob.elempack
    return [1, *reversed(whole)]


def waits() -> str:
    """What the threads of OpenMP do between two layers."""
    return os.environ.get("OMP_WAIT_POLICY", "OpenMP's default: its threads spin for a moment, then sleep")


def _weights(path: Path) -> Path | None:
    """The .bin file of a .param file: of the same name, or the only one there."""
    own = path.with_suffix(".bin")
    if own.is_file():
        return own
    others = list(path.parent.glob("*.bin"))
    return others[0] if len(others) == 1 else None


def _is_half(weights: Path) -> bool:
    if not weights.stat().st_size:
        return False
    with weights.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_HALF_MARK, 0, _LOOKED_THROUGH_BYTES)
        while at >= 0 and at % 4:
            at = content.find(_HALF_MARK, at + 1, _LOOKED_THROUGH_BYTES)
        return at >= 0


def _spec(name: str, stored: Sequence[int] | None, dtype: str, shapes: dict[str, Sequence[int]]) -> dict[str, Any]:
    if stored is None and name not in shapes:
        raise ValueError("the file does not say what sizes input '%s' has: give them with --shape" % name)
    shape = fed_shape(name, stored or [1] + [None] * (len(shapes[name]) - 1), shapes)
    count = 1
    for size in shape:
        count *= size
    return {"name": name, "shape": shape, "dtype": dtype, "bytes": 4 * count}
