"""TFLite (LiteRT) of a checkpoint: float32 and fp16 weights, and full INT8 with int8 inputs and outputs.

litert-torch converts without TensorFlow and without an ONNX file in between; ai-edge-quantizer makes fp16 and INT8 from
its float32 file. Inputs are channels-last (NHWC), as TFLite runtimes expect.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from edgebench.schema.tensors import to_layout
from exporters import ConversionJob, ConvertedFile, OpenedArtifact
from exporters.arithmetic.image_files import each_image
from exporters.arithmetic.ranges import Histogram
from exporters.sources import modules
from exporters.tflite_edit import batch, folding, int8

if TYPE_CHECKING:
    from torch import nn

FORMAT = "tflite"
SUFFIX = ".tflite"
SOURCES = ("checkpoint", "module")
PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert")
EXTRA = "export"


def warm() -> None:
    import ai_edge_quantizer  # noqa: F401
    import litert_torch  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    float32 = Path(job.folder) / "tflite-fp32.tflite"
    if not float32.exists():
        if job.isolated is not None:
            _convert(modules.load(job.isolated), job.isolated.input_shape, float32)
        else:
            _from_checkpoint(Path(job.source), float32)
    yield from precisions_of(float32, job)


def _from_checkpoint(source: Path, out: Path) -> None:
    from edgebench.schema import checkpoint

    opened = checkpoint.load(source)
    _convert(rebuild(opened), opened.about.input_shape, out)


def _convert(network: nn.Module, input_shape: tuple[int, ...], out: Path) -> None:
    import litert_torch
    import torch

    channels, height, width = input_shape
    network = litert_torch.to_channel_last_io(_pooled_over_zeros(network), args=[0]).eval()
    litert_torch.convert(network, (torch.zeros(1, height, width, channels),)).export(str(out))


def _pooled_over_zeros(network: nn.Module) -> nn.Module:
    """MaxPool2d(padding) after a layer that is never negative -> ZeroPad2d and MaxPool2d, which gives the same.

    litert-torch pads with minus infinity, using an operator (PADV2) that XNNPACK does not support: the network would
    run in two parts.
    """
    import copy

    from torch import fx, nn

    network = network.eval()
    try:
        traced = fx.symbolic_trace(network)
    except Exception:  # fx raises many kinds; a network it cannot trace stays as it is
        return network
    modules = dict(traced.named_modules())

    def called(node: object) -> nn.Module | None:
        return modules.get(str(node.target)) if isinstance(node, fx.Node) and node.op == "call_module" else None

    pools = {
        str(node.target): pool
        for node in traced.graph.nodes
        if isinstance(pool := called(node), nn.MaxPool2d) and isinstance(called(node.args[0]), nn.ReLU | nn.ReLU6)
        if isinstance(pool.padding, int) and pool.padding and not pool.ceil_mode
    }
    if not pools:
        return network
    network = copy.deepcopy(network)
    for name, pool in pools.items():
        unpadded = nn.MaxPool2d(pool.kernel_size, pool.stride, 0, pool.dilation)
        assert isinstance(pool.padding, int)
        network.set_submodule(name, nn.Sequential(nn.ZeroPad2d(pool.padding), unpadded).eval())
    return network


def precisions_of(float32: Path, job: ConversionJob) -> Iterator[ConvertedFile]:
    """Make the job's precisions from a float32 .tflite file that has a signature."""
    for made in _of_one_image(float32, job):
        if job.dynamic_batch:
            out = Path(job.folder) / f"any-{Path(made.file).name}"
            batch.open_batch(Path(made.file), out)
            made = msgspec.structs.replace(made, file=str(out))
        yield made


def _of_one_image(float32: Path, job: ConversionJob) -> Iterator[ConvertedFile]:
    folder = Path(job.folder)
    if "fp32" in job.precisions:
        yield ConvertedFile("fp32", str(float32))
    if "fp16" in job.precisions:
        yield ConvertedFile("fp16", str(_halve(float32, folder / "tflite-fp16.tflite")))
    if "int8" in job.precisions:
        assert job.preprocessing is not None
        prepared, folded = _prepared(float32)
        layers, weighted = int8.layers(prepared)
        seen = _observed(prepared, Path(job.calibration), job.preprocessing)
        for scheme in job.schemes:
            out = folder / f"tflite-int8-{scheme.slug}.tflite"
            int8.quantise(prepared, out, seen, scheme)
            yield ConvertedFile(
                "int8",
                str(out),
                scheme,
                layers=layers,
                weighted=weighted,
                float32_bytes=float32.stat().st_size,
                notes={"folded": folded} if folded else {},
            )


@cache
def _prepared(float32: Path) -> tuple[Path, str]:
    return int8.prepare(float32, float32.with_name("tflite-prepared.tflite"))


@cache
def _observed(float32: Path, calibration: Path, preprocessing: Preprocessing) -> dict[str, Histogram]:
    (spec,) = open_artifact(float32).inputs
    return int8.observe(float32, ((to_layout(image, spec),) for image in each_image(calibration, preprocessing)))


def _halve(float32: Path, out: Path) -> Path:
    """Store weights as fp16; inputs, outputs and, in most runtimes, arithmetic stay float32."""
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    maker = quantizer.Quantizer(str(float32))
    maker.add_weight_only_config(
        ".*",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        granularity=qtyping.QuantGranularity.TENSORWISE,
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    maker.quantize(enable_progress_report=False).export_model(str(out), overwrite=True)
    return out


def open_artifact(path: Path) -> OpenedArtifact:
    from ai_edge_litert import __version__
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (sink,) = interpreter.get_output_details()

    def run(stored: Any) -> Any:
        interpreter.set_tensor(source["index"], stored)
        interpreter.invoke()
        return interpreter.get_tensor(sink["index"])

    @lru_cache(maxsize=1)
    def resized(shape: tuple[int, ...]) -> Interpreter:
        wider = Interpreter(str(path), num_threads=1)
        wider.resize_tensor_input(source["index"], shape, strict=True)
        wider.allocate_tensors()
        return wider

    def run_many(stored: Any) -> Any:
        wider = resized(stored.shape)
        wider.set_tensor(source["index"], stored)
        wider.invoke()
        return wider.get_tensor(sink["index"])

    return OpenedArtifact((_spec(source),), (_spec(sink),), f"LiteRT {__version__} CPU", run, run_many)


def open_for_batches(path: Path, out: Path) -> OpenedArtifact:
    batch.open_batch(path, out)
    return open_artifact(out)


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    return folding.fold(path, out, preprocessing, open_artifact(path).inputs[0])


def _spec(details: dict[str, Any]) -> TensorSpec:
    shape = tuple(int(size) for size in details["shape"])
    scale, zero_point = details["quantization"]
    quantised = details["dtype"].__name__ in ("int8", "uint8", "int16")
    return TensorSpec(
        details["name"],
        shape,
        details["dtype"].__name__,
        "NHWC" if len(shape) == 4 else "NC",
        float(scale) if quantised else None,
        int(zero_point) if quantised else None,
    )
