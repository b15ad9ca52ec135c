"""ONNX with dynamic INT8, like PyTorch's `quantize_dynamic`: for studies that call this INT8.

Only the weights of linear layers are INT8. Activations are float in the file; onnxruntime determines their ranges for
every image. Convolutions stay float, because their dynamic kernels are slower than the float ones. Needs no
calibration.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exporters import SEVEN_BITS, ConversionJob, ConvertedFile, onnx
from exporters.onnx import fold, open_artifact, open_for_batches
from exporters.onnx_edit import int8

FORMAT = "onnx"
SUFFIX = ".onnx"
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("int8",)
PACKAGES = ("onnx", "onnxruntime")
EXTRA = "export"

NOTES = {"quantisation": "dynamic: weights of linear layers INT8, activations and all other layers float"}


def warm() -> None:
    onnx.warm()


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folder, float32 = Path(job.folder), onnx.float32_of(job)
    if "int8" not in job.precisions:
        return
    prepared, out = folder / "onnx-prepared.onnx", folder / "onnx-dynamic-int8.onnx"
    int8.prepare(float32, prepared)
    # Only MatMul: the library first turns each Gemm into MatMul and Add.
    seven_bits = any(scheme.kernels.weight_bits == 7 for scheme in job.schemes)
    quantize_dynamic(
        prepared,
        out,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=seven_bits,
        weight_type=QuantType.QInt8,
    )
    onnx.make_loadable(out)
    yield ConvertedFile("int8", str(out), notes=NOTES | ({"weights": SEVEN_BITS} if seven_bits else {}))


__all__ = ["convert", "fold", "open_artifact", "open_for_batches", "warm"]
