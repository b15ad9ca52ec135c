"""How likely a difference is by chance: Student's t, and Holm's correction for several comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEVEL = 0.05
_TINY = 1e-300
_STEPS = 300


def two_sided_p(t: float, freedom: int) -> float:
    """The probability of a |t| at least this large without a difference."""
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def holm(found: Sequence[float]) -> list[float]:
    """Adjusted probabilities (Holm, Scandinavian Journal of Statistics 6, 1979): of all that are called different below
    `LEVEL`, at least one is wrong in one comparison of twenty.
    """
    adjusted = [0.0] * len(found)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(found)), key=found.__getitem__)):
        worst = max(worst, min(1.0, (len(found) - rank) * found[index]))
        adjusted[index] = worst
    return adjusted


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised; continued fraction of Lentz (Press et al., Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for step in range(1, _STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for part in (even, odd):
            d = 1 / _away(1 + part * d)
            c = _away(1 + part / c)
            value *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
