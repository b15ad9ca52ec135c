"""Accumulates, image by image, how much the layers of one file differ from those of another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebench.schema.tensors import SQNR_CEILING_DB
from exporters.inspect import GoldenInputs


def images(inputs: GoldenInputs) -> Iterator[Any]:
    """Arrays [1, ...], as the file takes them."""
    import numpy as np

    flat = np.frombuffer(Path(inputs.file).read_bytes(), np.dtype(inputs.dtype).newbyteorder("<"))
    yield from flat.reshape(inputs.count, *inputs.shape)


class Noise:
    """Power of the differences and of the reference, by layer number."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[float, float]] = {}

    def add(self, layer: int, answer: Any, reference: Any) -> None:
        """Arrays of real values, not quantised ones; arrays whose shapes differ are skipped."""
        import numpy as np

        if answer.shape != reference.shape:
            return
        wide = reference.astype(np.float64)
        noise, power = self._sums.get(layer, (0.0, 0.0))
        noise += float(np.square(answer.astype(np.float64) - wide).sum())
        self._sums[layer] = (noise, power + float(np.square(wide).sum()))

    def sqnr_db(self) -> dict[int, float]:
        return {layer: _decibels(noise, power) for layer, (noise, power) in self._sums.items()}


def _decibels(noise: float, power: float) -> float:
    """Limited to what JSON can represent: nothing was lost, or everything."""
    if noise == 0:
        return SQNR_CEILING_DB
    if power == 0 or not math.isfinite(noise):
        return -SQNR_CEILING_DB
    return max(-SQNR_CEILING_DB, min(SQNR_CEILING_DB, 10 * math.log10(power / noise)))
