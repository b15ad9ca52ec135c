"""Inspection: what is in one .onnx or .tflite file, as `edgebench inspect` finds and stores it.

Three looks at a file make it, each in a worker process of its own (exporters/inspect): Network, by reading it; Loaded,
by loading it in its runtime; Errors, by running it beside the float32 file of the same network. Everything named in
these structures has passed `plain_excerpt`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import msgspec

from edgebench.schema.bundle import Artifact, FileRef

Format = Literal["onnx", "tflite"]

SCHEMA_VERSION = 1
# 1  2026-11  first


class InspectedTensor(msgspec.Struct, frozen=True):
    """One input or output. A size that the file leaves open is its name, or "?". layout: a guess from the sizes."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    layout: Literal["NCHW", "NHWC", "NC", ""] = ""
    scale: float | None = None
    zero_point: int | None = None


class Layer(msgspec.Struct, frozen=True):
    """One operator, in the order of execution; open batch sizes count as 1.

    number: counted from 1, in the file. output_shape: empty if it is not known, and then bytes and MACs are None.
    parameters, weights_bytes: of all its constants that were trained, as they are stored.
    weights: of these the largest, without the bias; zeros: of them, exactly zero (None where that was not looked at).
    scales: how many scales those weights have: 0 if they are float, 1 per tensor, more per channel.
    grouped: a convolution whose filters read a part of the channels each, one if it is depthwise.
    why_float: the reason why it is float in a quantised file, as far as it can be told.
    runs_as: what the runtime makes of it, in a quantised file. sqnr_db: of its output against the float32 file's.
    """

    number: int
    name: str
    operator: str
    output_shape: tuple[int, ...]
    activation_dtype: str
    activation_bytes: int | None
    macs: int | None
    parameters: int = 0
    weights_bytes: int = 0
    weights: int = 0
    weights_dtype: str = ""
    scales: int = 0
    zeros: int | None = None
    grouped: bool = False
    arithmetic: Literal["integer", "float", "none"] = "float"
    why_float: str = ""
    runs_as: str = ""
    sqnr_db: float | None = None


class ActivationMemory(msgspec.Struct, frozen=True):
    """Activations when each is held from the operator that makes it to the last that reads it, none in place.

    peak_at: the layer's number. arena_bytes: what LiteRT lays aside for them without a delegate (.tflite only).
    """

    peak_activation_bytes: int
    peak_at: int
    arena_bytes: int | None = None


class NetworkInFile(msgspec.Struct, frozen=True, tag="network"):
    """What the file itself says.

    conversions: quantise and dequantise operators that are no layers, by kind.
    parameters, weights_bytes: weights that layers share count once. macs: as models.Size counts them, None if a size
    that they need is open.
    """

    facts: dict[str, str]
    inputs: tuple[InspectedTensor, ...]
    outputs: tuple[InspectedTensor, ...]
    signatures: tuple[str, ...]
    layers: tuple[Layer, ...]
    conversions: dict[str, int]
    parameters: int
    weights_bytes: int
    macs: int | None
    memory: ActivationMemory | None
    hints: tuple[str, ...]
    remarks: tuple[str, ...]


class RunsAs(msgspec.Struct, frozen=True):
    """operator: the runtime's name for what a layer has become, "" if nothing is left of it."""

    operator: str
    integer: bool


class LoadedBy(msgspec.Struct, frozen=True, tag="loaded"):
    """What the runtime makes of the file. problem: why it does not take it. runs_as: by layer number."""

    runtime: str
    problem: str = ""
    runs_as: dict[int, RunsAs] = {}
    arena_bytes: int | None = None


class Errors(msgspec.Struct, frozen=True, tag="errors"):
    """SQNR of outputs against the float32 file's, by layer number; images: over how many golden inputs."""

    sqnr_db: dict[int, float]
    images: int


Looked = NetworkInFile | LoadedBy | Errors


class Inspection(msgspec.Struct, frozen=True):
    """artifact: what the bundle beside the file knows about it; source: which network the bundle was made from.

    companions: other files that its weights are in.
    """

    file: str
    format: Format
    size_bytes: int
    sha256: str
    runtime: str
    network: NetworkInFile
    artifact: Artifact | None = None
    source: dict[str, str] = {}
    compared_images: int = 0
    companions: tuple[FileRef, ...] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class OperatorCount:
    """What is neither quantised nor float only carries values over from one to the other."""

    operator: str
    count: int
    quantised: int = 0
    floating: int = 0


def operators(network: NetworkInFile) -> list[OperatorCount]:
    """By kind, most frequent first; then what is no layer."""
    counts = Counter(layer.operator for layer in network.layers)
    integer = Counter(layer.operator for layer in network.layers if layer.arithmetic == "integer")
    floating = Counter(layer.operator for layer in network.layers if layer.arithmetic == "float")
    found = [OperatorCount(kind, number, integer[kind], floating[kind]) for kind, number in counts.most_common()]
    return found + [OperatorCount(kind, number) for kind, number in network.conversions.items()]


def is_quantised(network: NetworkInFile) -> bool:
    """Whether anything in it, if only weights, is held in integers."""
    return any(layer.scales or layer.arithmetic == "integer" for layer in network.layers)


def as_run(layer: Layer, loaded: LoadedBy) -> Layer:
    """Integers in the file are integers for the runtime only if it fuses what is around the operator."""
    runs_as = loaded.runs_as.get(layer.number)
    if runs_as is None:
        return layer
    layer = msgspec.structs.replace(layer, runs_as=runs_as.operator)
    if runs_as.integer and layer.arithmetic == "float":
        return msgspec.structs.replace(layer, arithmetic="integer", why_float="")
    if not runs_as.integer and layer.arithmetic == "integer":
        why = f"{loaded.runtime} does not fuse the quantise and dequantise nodes around it"
        return msgspec.structs.replace(layer, arithmetic="float", why_float=why)
    return layer
