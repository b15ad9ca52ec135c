"""Inspection: the content of one .onnx, .tflite or .pte file, as `edgebench inspect` finds and stores it.

It combines three examinations, each in a worker process of its own (exporters/inspect): NetworkInFile, from reading
the file; LoadedBy, from loading it in its runtime; Errors, from running it beside the float32 file of the same network.
Every name in these structures has passed `plain_excerpt`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import msgspec

from edgebench.schema.bundle import Artifact, FileRef

Format = Literal["onnx", "tflite", "executorch"]

SCHEMA_VERSION = 1
# 1  2026-11  first


class InspectedTensor(msgspec.Struct, frozen=True):
    """One input or output. An open size is its name, or "?". layout: guessed from the sizes."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    layout: Literal["NCHW", "NHWC", "NC", ""] = ""
    scale: float | None = None
    zero_point: int | None = None


class Layer(msgspec.Struct, frozen=True):
    """One operator, in the order of execution; open batch sizes count as 1.

    number: position in the file, from 1. output_shape: empty if unknown; bytes and MACs are then None.
    parameters, weights_bytes: of all its trained constants, as stored.
    weights: number in the largest of them, without the bias; zeros: exact zeros among those (None if not examined).
    scales: number of scales of those weights: 0 if they are float, 1 if per tensor, more if per channel.
    grouped: a convolution whose filters each read part of the channels, or one if it is depthwise.
    why_float: the reason why it is float in a quantised file, if it can be determined.
    runs_as: the runtime's operator for it, in a quantised file. sqnr_db: of its output against the float32 file's.
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
    """Activations, if each is held from the operator that produces it to the last that reads it, with none in place.

    peak_at: the layer's number. arena_bytes: what LiteRT allocates for them without a delegate (.tflite only).
    """

    peak_activation_bytes: int
    peak_at: int
    arena_bytes: int | None = None


class NetworkInFile(msgspec.Struct, frozen=True, tag="network"):
    """The content of the file itself.

    conversions: quantise and dequantise operators, which are not layers, by kind.
    parameters, weights_bytes: weights that layers share count once. macs: counted as in Size; None if a size that they
    need is open.
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
    """operator: the runtime's name for what became of a layer, "" if nothing did."""

    operator: str
    integer: bool


class LoadedBy(msgspec.Struct, frozen=True, tag="loaded"):
    """The file as loaded by its runtime. problem: why it cannot be loaded. runs_as: by layer number."""

    runtime: str
    problem: str = ""
    runs_as: dict[int, RunsAs] = {}
    arena_bytes: int | None = None


class Errors(msgspec.Struct, frozen=True, tag="errors"):
    """SQNR of outputs against the float32 file's, by layer number; images: number of golden inputs."""

    sqnr_db: dict[int, float]
    images: int


Looked = NetworkInFile | LoadedBy | Errors


class Inspection(msgspec.Struct, frozen=True):
    """artifact: from the bundle beside the file; source: the network that the bundle was made from. companions: other
    files with its weights.
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
    """Operators that are neither quantised nor float only convert between the two."""

    operator: str
    count: int
    quantised: int = 0
    floating: int = 0


def operators(network: NetworkInFile) -> list[OperatorCount]:
    """By kind, most frequent first; then those that are not layers."""
    counts = Counter(layer.operator for layer in network.layers)
    integer = Counter(layer.operator for layer in network.layers if layer.arithmetic == "integer")
    floating = Counter(layer.operator for layer in network.layers if layer.arithmetic == "float")
    found = [OperatorCount(kind, number, integer[kind], floating[kind]) for kind, number in counts.most_common()]
    return found + [OperatorCount(kind, number) for kind, number in network.conversions.items()]


def is_quantised(network: NetworkInFile) -> bool:
    """Whether anything in it, even only weights, is stored in integers."""
    return any(layer.scales or layer.arithmetic == "integer" for layer in network.layers)


def as_run(layer: Layer, loaded: LoadedBy) -> Layer:
    """The layer as the runtime runs it: in integers only if it fuses the nodes around the operator."""
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
