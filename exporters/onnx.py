"""ONNX: float32, and INT8 with quantise/dequantise nodes, for onnxruntime >= 1.16.

Float32 is traced (`dynamo=False`), opset 17 and IR version 8, unused domains removed: that is what old runtimes on
boards still load. INT8 is unsigned activations, signed weights, per channel: onnxruntime fuses all of it on x86 and
ARM, where signed activations stay half unfused on x86. Which way of finding the ranges is better depends on the
network, so both are made and the better one is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from edgebench.bundle import TensorSpec
from exporters import Job, Made, Opened

FORMAT = "onnx"
SUFFIX = ".onnx"
SOURCES = ("checkpoint", "onnx")
PRECISIONS = ("fp32", "int8")
PACKAGES = ("onnx", "onnxruntime")
EXTRA = "export"

OPSET = 17
IR_VERSION = 8
CALIBRATION_BATCH = 16
INT8_METHODS: dict[str, dict[str, Any]] = {"minmax": {}, "moving-average": {"CalibMovingAverage": True}}


def warm() -> None:
    import onnx  # noqa: F401
    import onnxruntime.quantization  # noqa: F401


def convert(job: Job) -> Iterator[Made]:
    folder = Path(job.folder)
    float32 = folder / "onnx-fp32.onnx"
    if job.kind == "checkpoint":
        from_checkpoint(Path(job.source), float32)
    else:
        _copy(Path(job.source), float32)
    if "fp32" in job.precisions:
        yield Made("fp32", str(float32))
    if "int8" in job.precisions:
        yield from _quantise(job, float32, folder)


def from_checkpoint(source: Path, out: Path) -> None:
    import torch

    from edgebench import checkpoint

    opened = checkpoint.load(source)
    torch.onnx.export(
        opened.build(),
        (torch.zeros(1, *opened.about.input_shape),),
        str(out),
        dynamo=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
    )
    make_loadable(out)


def make_loadable(path: Path) -> None:
    """Old runtimes refuse a file for domains that it names and never uses, and for a newer IR version than theirs."""
    import onnx

    model = onnx.load(str(path))
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.ir_version = min(model.ir_version, IR_VERSION)
    onnx.save(model, str(path))


def _copy(source: Path, out: Path) -> None:
    """The source itself, byte for byte, unless it keeps its weights in other files."""
    import onnx

    model = onnx.load(str(source), load_external_data=False)
    if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer):
        onnx.save(onnx.load(str(source)), str(out))
    else:
        out.write_bytes(source.read_bytes())


def _quantise(job: Job, float32: Path, folder: Path) -> Iterator[Made]:
    import numpy as np
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from exporters._parity import to_layout

    spec = open_artifact(float32).inputs[0]
    assert job.preprocessing is not None
    images = to_layout(job.preprocessing.apply(np.load(job.calibration, allow_pickle=False)), spec)
    step = CALIBRATION_BATCH if _dynamic_batch(float32) else 1

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter([{spec.name: images[i : i + step]} for i in range(0, len(images), step)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    # Without this step, tensors that tracing shared between layers keep convolutions from being fused.
    prepared = folder / "onnx-prepared.onnx"
    quant_pre_process(str(float32), str(prepared), skip_symbolic_shape=True)
    for method, options in INT8_METHODS.items():
        out = folder / f"onnx-int8.{method}.onnx"
        quantize_static(
            str(prepared),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options=options,
        )
        make_loadable(out)
        yield Made("int8", str(out), method)


def _dynamic_batch(path: Path) -> bool:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return not model.graph.input[0].type.tensor_type.shape.dim[0].dim_value


def open_artifact(path: Path) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = tuple(_spec(value) for value in session.get_inputs())
    outputs = tuple(_spec(value) for value in session.get_outputs())

    def run(stored: Any) -> Any:
        return session.run([outputs[0].name], {inputs[0].name: stored})[0]

    return Opened(inputs, outputs, f"onnxruntime {onnxruntime.__version__} CPU", run)


def _spec(value: Any) -> TensorSpec:
    """Symbolic sizes (the batch) count as 1: devices run one image at a time."""
    shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
    layout: Literal["NCHW", "NHWC", "NC"] = "NC"
    if len(shape) == 4:
        layout = "NHWC" if shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4) else "NCHW"
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(value.name, shape, {"float": "float32", "double": "float64"}.get(kind, kind), layout)
