"""ONNX: float32, fp16 and INT8 with quantise/dequantise nodes, for onnxruntime >= 1.16.

Float32 is traced (`dynamo=False`) with opset 17 and IR version 8, without unused domains, so that old runtimes on
boards still load it. fp16 files keep float32 inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgebench import modelfile
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from edgebench.schema.tensors import is_batched
from exporters import ConversionJob, ConvertedFile, OpenedArtifact
from exporters.arithmetic import feeds
from exporters.arithmetic.ranges import Histogram
from exporters.onnx_edit import batch, folding, int8
from exporters.onnx_edit.float32 import in_float32
from exporters.sources import module_ports, modules

if TYPE_CHECKING:
    from torch import nn

FORMAT = "onnx"
SUFFIX = ".onnx"
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = ("onnx", "onnxruntime")
EXTRA = "export"

OPSET = 17
NEWER_OPSET = 18  # the oldest of the newer exporter
IR_VERSION = 8
FP16_ARITHMETIC = "half the bytes; CPU runtimes convert it to fp32 and compute in fp32"


def warm() -> None:
    import onnx  # noqa: F401
    import onnxruntime.quantization  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    float32 = float32_of(job)
    if "fp32" in job.precisions:
        yield ConvertedFile("fp32", str(float32))
    if "fp16" in job.precisions:
        out = float32.with_name("onnx-fp16.onnx")
        _halve(float32, out)
        yield ConvertedFile("fp16", str(out), notes={"arithmetic": FP16_ARITHMETIC})
    if "int8" in job.precisions:
        yield from _quantise(job, float32)


def float32_of(job: ConversionJob) -> Path:
    """The file from which all others are made; made once for all jobs of a folder."""
    float32 = Path(job.folder) / "onnx-fp32.onnx"
    if not float32.exists():
        if job.kind == "checkpoint":
            from_checkpoint(Path(job.source), float32, dynamic_batch=job.dynamic_batch)
        elif job.isolated is not None:
            _trace(modules.load(job.isolated), job.inputs, job.outputs, float32, dynamic_batch=job.dynamic_batch)
        else:
            _copy(Path(job.source), float32)
    return float32


def from_checkpoint(source: Path, out: Path, *, dynamic_batch: bool = False) -> None:
    from edgebench.schema import checkpoint

    opened = checkpoint.load(source)
    image = TensorSpec(module_ports.INPUT, (1, *opened.about.input_shape), "float32", "NCHW")
    logits = TensorSpec(module_ports.CLASSES, (1, len(opened.about.class_names)), "float32", "NC")
    _trace(rebuild(opened), (image,), (logits,), out, dynamic_batch=dynamic_batch)


def _trace(
    network: nn.Module, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], out: Path, *, dynamic_batch: bool
) -> None:
    """By the exporter that traces; by torch's newer one what it has no operator for."""
    import torch

    batched = [spec.name for spec in (*inputs, *outputs) if is_batched(spec)]

    def export(opset: int, **how: Any) -> None:
        torch.onnx.export(
            module_ports.with_ports(network, outputs),
            tuple(module_ports.zeros(inputs)),
            str(out),
            opset_version=opset,
            input_names=[spec.name for spec in inputs],
            output_names=[spec.name for spec in outputs],
            dynamic_axes={name: {0: "batch"} for name in batched} if dynamic_batch else None,
            **how,
        )

    try:
        export(OPSET, dynamo=False)
    except torch.onnx.errors.OnnxExporterError as unknown:
        try:
            export(NEWER_OPSET, dynamo=True, external_data=False, verbose=False)
        except Exception:  # of any kind; the first one names the operator
            raise unknown from None
    make_loadable(out)


def make_loadable(path: Path) -> None:
    """Make it acceptable to old runtimes: they refuse a file that declares unused domains or a newer IR version.

    Raises onnx.checker.ValidationError for one that breaks the standard, even if the runtime here would load it.
    """
    import onnx

    model = onnx.load(str(path))
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.ir_version = min(model.ir_version, IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _copy(source: Path, out: Path) -> None:
    """Copy the source byte for byte, unless it keeps its weights in other files, or computes in halves."""
    import onnx

    looked, model = modelfile.read(source), onnx.load(str(source))
    if in_float32(model) or (looked and looked.external):
        onnx.save(model, str(out))
    else:
        out.write_bytes(source.read_bytes())


def _halve(float32: Path, out: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    halved = OnnxModel(convert_float_to_float16(onnx.load(str(float32)), keep_io_types=True))
    halved.topological_sort()  # the converter puts the casts of inputs last, which the standard forbids
    onnx.save(halved.model, str(out))
    make_loadable(out)


def _quantise(job: ConversionJob, float32: Path) -> Iterator[ConvertedFile]:
    prepared, folded = _prepared(float32)
    layers, float_starts = int8.operators(prepared), int8.float_starts(prepared)
    weighted, float32_bytes = int8.layers(prepared), float32.stat().st_size
    notes = {"folded": folded} if folded else {}
    seen = _observed(prepared, Path(job.calibration), job.preprocessing, job.inputs)
    if left := int8.left_in_float(prepared, seen):
        notes["always_float"] = left
    for scheme in job.schemes:
        starts = float_starts if scheme.kernels.x86 else ()
        out = prepared.with_name(f"onnx-int8-{scheme.slug}.onnx")
        int8.quantise(prepared, out, seen, scheme)
        make_loadable(out)
        yield ConvertedFile(
            "int8",
            str(out),
            scheme,
            layers=layers,
            weighted=weighted,
            float32_bytes=float32_bytes,
            float_starts=starts,
            notes=scheme.kernels.notes | notes,
        )


@cache
def _prepared(float32: Path) -> tuple[Path, str]:
    """The file from which INT8 is made, and what became of its normalisations; once for all jobs."""
    prepared = float32.with_name("onnx-prepared.onnx")
    return prepared, int8.prepare(float32, prepared)


@cache
def _observed(
    prepared: Path, calibration: Path, preprocessing: Preprocessing | None, network: tuple[TensorSpec, ...]
) -> dict[str, Histogram]:
    inputs = open_artifact(prepared).inputs
    return int8.observe(prepared, feeds.each(calibration, preprocessing, network, inputs))


def open_artifact(path: Path) -> OpenedArtifact:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = tuple(_spec(value) for value in session.get_inputs())
    outputs = tuple(_spec(value) for value in session.get_outputs())

    names = [spec.name for spec in inputs]

    def run(stored: Sequence[Any]) -> Sequence[Any]:
        found: Sequence[Any] = session.run(None, dict(zip(names, stored, strict=True)))
        return found

    return OpenedArtifact(inputs, outputs, f"onnxruntime {onnxruntime.__version__} CPU", run, run)


def open_for_batches(path: Path, out: Path) -> OpenedArtifact:
    batch.open_batch(path, out)
    return open_artifact(out)


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    how = folding.fold(path, out, preprocessing, open_artifact(path).inputs[0])
    make_loadable(out)
    return how


def _spec(value: Any) -> TensorSpec:
    """Symbolic sizes (the batch) count as 1: devices run one image at a time."""
    shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
    layout: Literal["NCHW", "NHWC", "NC", "any"] = "NC" if len(shape) == 2 else "any"
    if len(shape) == 4 and shape[0] == 1:
        layout = "NHWC" if shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4) else "NCHW"
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(value.name, shape, {"float": "float32", "double": "float64"}.get(kind, kind), layout)
