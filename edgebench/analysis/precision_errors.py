"""How far answers are from fp32 ones when a network is computed in each precision.

Measured on random and real networks by `python -m benchmarks.precision --fit`, which prints `USUAL`. Logarithms (base
10) of relative RMS errors are taken as Student's t around a mean, for answers that are stored in the precision, so that
all of them are its numbers, and for those that are not (only what is multiplied is rounded, or parts of the network).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Arithmetic = Literal["fp32", "tf32", "fp16", "bf16", "int8"]
# Whether all answers are numbers of a half precision; "few": too few different ones to say.
Grid = Literal["none", "fp16", "bf16", "few"]


@dataclass(frozen=True)
class Usual:
    """mean, spread: of the logarithm. Where the exporter's own fp32 error h is known, the mean is constant + slope *
    log10(h), and the spread `around`.
    """

    precision: Arithmetic
    stored: bool
    mean: float
    spread: float
    constant: float
    slope: float
    around: float


USUAL: tuple[Usual, ...] = (
    Usual("fp32", False, -6.78, 0.36, -0.52, 0.92, 0.15),  # 440 runs
    Usual("tf32", False, -3.70, 0.37, 0.30, 0.59, 0.32),  # 120
    Usual("fp16", True, -3.43, 0.22, -0.28, 0.47, 0.12),  # 240
    Usual("fp16", False, -4.10, 0.35, 1.42, 0.81, 0.27),  # 80
    Usual("bf16", True, -2.52, 0.22, 0.50, 0.45, 0.13),  # 239
    Usual("bf16", False, -2.76, 0.41, 4.57, 1.08, 0.25),  # 121
    Usual("int8", False, -2.12, 0.34, -2.12, 0.00, 0.34),  # 240
)
# Of the same file elsewhere, around its own error.
_SAME_SPREAD = 0.1
# Smaller errors are those of the same arithmetic.
LEAST = 1e-8
_FREEDOM = 6
# Networks whose answers are numbers of a half precision although they were not stored in it, and the other way round.
_BY_CHANCE = 0.003
# Of files that hold floats: runtimes of processors and GPUs do not quantise them unasked.
_QUANTISED_UNASKED = 0.01
_BY_BITS: tuple[Arithmetic, ...] = ("fp32", "tf32", "fp16", "bf16", "int8")


def possible(file: str, *, gpu: bool) -> tuple[Arithmetic, ...]:
    """What a file can have been computed in. One that holds halves or bytes cannot answer more exactly than they are;
    tf32 exists on GPUs only.
    """
    first = {"fp32": 0, "fp16": 2, "int8": 4}[file]
    return tuple(one for one in _BY_BITS[first:] if one != "tf32" or gpu)


def prior(precision: Arithmetic, file: str) -> float:
    return _QUANTISED_UNASKED if precision == "int8" and file != "int8" else 1.0


def log_likelihood(precision: Arithmetic, file: str, error: float, exporter: float | None, grid: Grid) -> float:
    x = math.log10(max(error, LEAST))
    parts = [
        share * (1 + ((x - mean) / spread) ** 2 / _FREEDOM) ** (-(_FREEDOM + 1) / 2) / spread
        for share, mean, spread in _parts(precision, file, exporter, grid)
    ]
    return math.log(sum(parts))


def deviations(precision: Arithmetic, file: str, error: float, exporter: float | None) -> float:
    """How many standard deviations an error is from what is usual in this precision."""
    x = math.log10(max(error, LEAST))
    return min(abs(x - mean) / spread for _, mean, spread in _parts(precision, file, exporter, "few"))


def _parts(
    precision: Arithmetic, file: str, exporter: float | None, grid: Grid
) -> Iterator[tuple[float, float, float]]:
    """Share, mean and spread of each way to compute in this precision."""
    found = [one for one in USUAL if one.precision == precision]
    own = None if exporter is None or exporter < LEAST else math.log10(exporter)
    for one in found:
        share = _share(one, grid) / len(found)
        if own is None:
            yield share, one.mean, one.spread
        elif file == "fp32":
            yield share, one.constant + one.slope * own, one.around
        elif precision != file:
            yield share, one.mean, one.spread
        elif file == "int8":
            yield share, own, _SAME_SPREAD
        else:
            yield share / 2, own, _SAME_SPREAD
            yield share / 2, one.mean, one.spread


def _share(one: Usual, grid: Grid) -> float:
    if grid == "few":
        return 1 / 3
    usual: Grid = "none"
    if one.stored:
        usual = "fp16" if one.precision == "fp16" else "bf16"
    return 1 - 2 * _BY_CHANCE if grid == usual else _BY_CHANCE
