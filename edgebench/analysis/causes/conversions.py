"""Where an INT8 file leaves integers: conversions between it and float, and what is computed in float between them.

Read from the layers in the order in which they ran. From a dequantise to the next quantise is one stretch:

    ... QLinearConv  DequantizeLinear  HardSigmoid Mul  QuantizeLinear  QLinearConv ...     a float island
    ... QLinearConv  DequantizeLinear  Conv             QuantizeLinear  QLinearConv ...     a pair that was not folded
    ... QLinearConv  DequantizeLinear                   QuantizeLinear  QLinearConv ...     with nothing inside
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgebench.analysis.causes.evidence import computes_in_integers, has_weights
from edgebench.schema.layer_times import LayerTime

Place = Literal["inside", "begins", "ends"]
_QUANTISE = re.compile(r"^(Dynamic)?QuantizeLinear$|^Quantize$|^QUANTIZE$|^FakeQuantize$")
_DEQUANTISE = re.compile(r"^DequantizeLinear$|^Dequantize$|^DEQUANTIZE$")
_LAYOUT = re.compile(r"^Transpose$|Reorder|^TRANSPOSE$")


@dataclass(frozen=True)
class FloatStretch:
    """conversions: the quantise and dequantise layers at its ends; inside: the float layers between them."""

    place: Place
    conversions: tuple[LayerTime, ...]
    inside: tuple[LayerTime, ...]

    @property
    def ns(self) -> float:
        return sum(layer.ns for layer in (*self.conversions, *self.inside))

    @property
    def is_weighted(self) -> bool:
        return any(map(has_weights, self.inside))


def is_conversion(layer: LayerTime) -> bool:
    """Between float and integers."""
    return bool(_QUANTISE.search(layer.kind) or _DEQUANTISE.search(layer.kind))


def is_layout(layer: LayerTime) -> bool:
    return bool(_LAYOUT.search(layer.kind))


def stretches(layers: Sequence[LayerTime]) -> list[FloatStretch]:
    """In their order. Empty for layers that do not show any conversion."""
    if not any(map(is_conversion, layers)):
        return []
    found: list[FloatStretch] = []
    ends: list[LayerTime] = []
    inside: list[LayerTime] = []
    place: Place | None = "begins"
    for layer in layers:
        if _QUANTISE.search(layer.kind):
            if place is None:  # the other inputs of what follows: part of the stretch before, or one of its own
                place = "inside"
            found.append(FloatStretch(place, (*ends, layer), tuple(inside)))
            ends, inside, place = [], [], None
        elif _DEQUANTISE.search(layer.kind):
            ends.append(layer)
            place = place or "inside"
        elif place is not None and not computes_in_integers(layer) and not is_layout(layer):
            inside.append(layer)
    if ends or (inside and place == "begins"):
        found.append(FloatStretch("ends", tuple(ends), tuple(inside)))
    return found
