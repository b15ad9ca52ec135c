"""The common form of .onnx and .tflite files: steps, and the values that flow between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal

from edgebench.errors import BadFile
from edgebench.schema.inspection import InspectedTensor

MOST_STEPS = 100_000

BITS = {
    **dict.fromkeys(("bool", "int8", "uint8", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"), 8),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 16),
    **dict.fromkeys(("int32", "uint32", "float32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 64),
    **dict.fromkeys(("int4", "uint4", "float4e2m1"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
}
INTEGERS = ("int8", "uint8", "int16", "uint16", "int4", "uint4")

# They convert between float and integers; ONNX writes them in two words, TFLite in capitals.
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Activation:
    """shape: sizes that are not known are None; None itself if not even their number is known.

    dtype, scale, zero_point: as it is stored between steps, so those of the integers if the file quantises it.
    """

    shape: tuple[int | None, ...] | None
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def size_bytes(self) -> int | None:
        sizes = self.known_shape
        return None if sizes is None else stored_bytes(sizes, self.dtype)

    @property
    def known_shape(self) -> tuple[int, ...] | None:
        """None if any size is unknown; a damaged file may contain negative ones."""
        if self.shape is None:
            return None
        known = tuple(size for size in self.shape if size is not None and size >= 0)
        return known if len(known) == len(self.shape) else None


@dataclass(frozen=True)
class Weight:
    """A trained constant. scales: how many scales it is quantised with, 0 if it is float."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: int = 0
    zeros: int | None = None

    @property
    def count(self) -> int:
        return prod(max(0, size) for size in self.shape)

    @property
    def size_bytes(self) -> int:
        return stored_bytes((self.count,), self.dtype)


@dataclass(frozen=True)
class GraphStep:
    """inputs, outputs: keys of values, without constants and omitted ones.

    multiplies: (value, axis) if each weight is used once for each position of that value; the positions are its
    elements without those along the axis. quantised: whether inputs and outputs are integers, according to the file.
    grouped: whether it is a convolution whose filters each read only some channels (one if it is depthwise).
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[Weight, ...] = ()
    multiplies: tuple[str, int] | None = None
    quantised: bool = False
    grouped: bool = False
    inside: str = ""
    """The subgraph it is in, "" for the main one."""

    @property
    def largest(self) -> Weight | None:
        return max(self.weights, key=lambda weight: weight.count, default=None)


@dataclass
class Graph:
    """conversions: how often each kind occurs; they lie between the steps and are not steps."""

    values: dict[str, Activation] = field(default_factory=dict)
    steps: list[GraphStep] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    ports_in: list[InspectedTensor] = field(default_factory=list)
    ports_out: list[InspectedTensor] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    signatures: list[str] = field(default_factory=list)
    conversions: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def batch(self) -> int:
        """How many images one inference takes: the first axis of vectors or images."""
        shape = self.values[self.inputs[0]].known_shape if self.inputs else None
        return max(1, shape[0]) if shape and len(shape) in (2, 4) else 1

    @property
    def quantised(self) -> bool:
        return any(step.quantised or any(weight.scales for weight in step.weights) for step in self.steps)


def stored_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Size of a dense array; 0 for what has no fixed size (strings)."""
    return -(-prod(shape) * BITS.get(dtype, 0) // 8)


def guess_layout(shape: tuple[int | str, ...], likely: str) -> Literal["NCHW", "NHWC", "NC", ""]:
    """likely: the format's usual layout, kept unless the sizes contradict it."""
    if len(shape) == 2:
        return "NC"
    if len(shape) != 4:
        return ""
    first, last = shape[1] in (1, 3, 4), shape[3] in (1, 3, 4)
    if first != last:
        return "NCHW" if first else "NHWC"
    return "NCHW" if likely == "NCHW" else "NHWC"


def count_zeros(stored: Any, zero_points: Any = 0) -> int:
    """stored: an array; zero_points: one number, or an array that broadcasts against it."""
    return int(stored.size - (stored != zero_points).sum())


def refuse_too_many(path: Path, steps: int) -> None:
    if steps > MOST_STEPS:
        raise BadFile(
            str(path), f"it has {steps:,} operators, more than the {MOST_STEPS:,} that can be inspected", "Split it"
        )
