"""A figure that somebody published, with what its form says of the conditions; what it does not say is None."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Statistic = Literal["minimum", "average", "median", "p90"]

# What people call runtimes and formats -> the runtime's name here.
RUNTIMES = {
    "onnxruntime": "onnxruntime", "onnx": "onnxruntime", "ort": "onnxruntime", "onnxruntimecpu": "onnxruntime",
    "tflite": "litert", "litert": "litert", "tensorflowlite": "litert", "xnnpack": "litert", "ncnn": "ncnn",
    "openvino": "openvino", "mnn": "mnn", "executorch": "executorch", "pytorch": "torch", "torchscript": "torch",
    "torch": "torch", "tensorrt": "tensorrt", "tensorrtengine": "tensorrt", "qnn": "qnn", "coreml": "coreml",
    "paddlepaddle": "paddle", "paddle": "paddle", "tensorflowsavedmodel": "tensorflow", "savedmodel": "tensorflow",
    "tensorflowgraphdef": "tensorflow", "tfsavedmodel": "tensorflow", "tfgraphdef": "tensorflow", "rknn": "rknn",
    "hailo": "hailo", "imx500": "imx500", "axelera": "axelera", "edgetpu": "edgetpu", "tfliteedgetpu": "edgetpu",
}  # fmt: skip
PRECISIONS = {
    "fp32": "fp32", "float32": "fp32", "f32": "fp32", "float": "fp32", "fp16": "fp16", "float16": "fp16", "f16": "fp16",
    "half": "fp16", "int8": "int8", "uint8": "int8", "i8": "int8", "w8a8": "int8", "quantized": "int8", "bf16": "bf16",
    "w8a16": "w8a16",
}  # fmt: skip


@dataclass(frozen=True)
class PublishedFigure:
    """form: what it was read as. ns: the published latency of one inference, its `statistic`. input_size: as written.

    weights: "random" where the form times random ones. joules: of an inference. notes: what is known of the form.
    """

    form: str
    ns: float
    statistic: Statistic | None = None
    model: str | None = None
    device: str | None = None
    runtime: str | None = None
    threads: int | None = None
    precision: str | None = None
    batch: int | None = None
    input_size: str | None = None
    weights: str | None = None
    joules: float | None = None
    accuracy: float | None = None
    size_bytes: float | None = None
    notes: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Letters and digits only, small: `MobileNet-v2` and `mobilenet_v2` are one."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def runtime_of(text: str) -> str | None:
    return RUNTIMES.get(plain(text))


def precision_of(text: str) -> str | None:
    return PRECISIONS.get(plain(text))


def number(text: str) -> float | None:
    """`5,495.9`; None for what is not a number, or may be two: `12,5`. A figure that is not above 0 is not a figure."""
    cleaned = text.strip().strip("*`~≈")
    if not re.fullmatch(r"(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?([eE][+-]?\d+)?", cleaned) or not re.match(r"\.?\d", cleaned):
        return None
    value = float(cleaned.replace(",", ""))
    return value if 0 < value < 1e15 else None
