"""TFLite (LiteRT): float32 and fp16 weights, and full INT8 with int8 inputs and outputs.

litert-torch converts torch modules without TensorFlow and without an ONNX file in between; an .onnx file becomes a
torch module first. ai-edge-quantizer makes fp16 and INT8 from its float32 file. Images are channels-last (NHWC), as
TFLite runtimes expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, ConvertedFile, OpenedArtifact
from exporters.arithmetic import feeds
from exporters.arithmetic.ranges import Histogram
from exporters.onnx_edit import simplified
from exporters.sources import modules
from exporters.tflite_edit import batch, flatbuffer, folding, int8
from exporters.torch_edit import from_onnx, litert

if TYPE_CHECKING:
    from torch import nn

FORMAT = "tflite"
SUFFIX = ".tflite"
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert", "onnxsim")
EXTRA = "export"


def warm() -> None:
    import ai_edge_quantizer  # noqa: F401
    import litert_torch  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    float32 = Path(job.folder) / "tflite-fp32.tflite"
    if not float32.exists():
        network, inputs = _network(job, float32)
        litert.convert(network, inputs, job.outputs, float32)
    yield from precisions_of(float32, job)


def _network(job: ConversionJob, out: Path) -> tuple[nn.Module, Sequence[TensorSpec]]:
    """The source as a torch module, and its inputs."""
    if job.kind == "onnx":
        simple = out.with_suffix(".simple.onnx")
        inputs = simplified.write(Path(job.source), job.inputs, simple)
        return from_onnx.module_of(simple), inputs
    if job.isolated is not None:
        return _pooled_over_zeros(modules.load(job.isolated)), job.inputs
    from edgebench.schema import checkpoint

    return _pooled_over_zeros(rebuild(checkpoint.load(Path(job.source)))), job.inputs


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
        prepared, folded = _prepared(float32)
        layers, weighted = int8.layers(prepared)
        seen = _observed(prepared, Path(job.calibration), job.preprocessing, job.inputs)
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
def _observed(
    float32: Path, calibration: Path, preprocessing: Preprocessing | None, network: tuple[TensorSpec, ...]
) -> dict[str, Histogram]:
    inputs = open_artifact(float32).inputs
    return int8.observe(float32, feeds.each(calibration, preprocessing, network, inputs))


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
    flatbuffer.gather(out)
    return out


def open_artifact(path: Path) -> OpenedArtifact:
    from ai_edge_litert import __version__
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    sources, sinks = interpreter.get_input_details(), interpreter.get_output_details()

    def answers(loaded: Interpreter, stored: Sequence[Any]) -> Sequence[Any]:
        for source, values in zip(sources, stored, strict=True):
            loaded.set_tensor(source["index"], values)
        loaded.invoke()
        return [loaded.get_tensor(sink["index"]) for sink in sinks]

    @lru_cache(maxsize=1)
    def resized(shapes: tuple[tuple[int, ...], ...]) -> Interpreter:
        wider = Interpreter(str(path), num_threads=1)
        for source, shape in zip(sources, shapes, strict=True):
            wider.resize_tensor_input(source["index"], shape, strict=True)
        wider.allocate_tensors()
        return wider

    def run(stored: Sequence[Any]) -> Sequence[Any]:
        return answers(interpreter, stored)

    def run_many(stored: Sequence[Any]) -> Sequence[Any]:
        return answers(resized(tuple(values.shape for values in stored)), stored)

    names = _names(interpreter)
    inputs, outputs = (tuple(_spec(one, names) for one in details) for details in (sources, sinks))
    return OpenedArtifact(inputs, outputs, f"LiteRT {__version__} CPU", run, run_many)


def _names(interpreter: Any) -> dict[int, str]:
    """By tensor, what its signature calls it: inputs and outputs of a file with several are told apart by that."""
    signatures = list(interpreter.get_signature_list())
    if len(interpreter.get_input_details()) == len(interpreter.get_output_details()) == 1 or len(signatures) != 1:
        return {}
    runner = interpreter.get_signature_runner(signatures[0])
    details = (*runner.get_input_details().items(), *runner.get_output_details().items())
    return {one["index"]: name for name, one in details}


def open_for_batches(path: Path, out: Path) -> OpenedArtifact:
    batch.open_batch(path, out)
    return open_artifact(out)


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    return folding.fold(path, out, preprocessing, open_artifact(path).inputs[0])


def _spec(details: dict[str, Any], names: dict[int, str]) -> TensorSpec:
    shape = tuple(int(size) for size in details["shape"])
    scale, zero_point = details["quantization"]
    quantised = bool(scale) and details["dtype"].__name__ in ("int8", "uint8", "int16")
    dtype = details["dtype"].__name__
    return TensorSpec(
        names.get(details["index"], details["name"]),
        shape,
        "bool" if dtype == "bool_" else dtype,
        "NHWC" if len(shape) == 4 else "NC" if len(shape) == 2 else "any",
        float(scale) if quantised else None,
        int(zero_point) if quantised else None,
    )
