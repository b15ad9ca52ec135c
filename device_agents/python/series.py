"""Pure functions on series of latencies; the host reads records with the same ones.

All values are positive numbers in any one unit of time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Two-sided 95 % points of Student's t for 1..30 degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def t95(freedom: int) -> float:
    """Two-sided 95 % point of Student's t; beyond 30 degrees of freedom the first terms of Cornish and Fisher."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def median(values: Sequence[float]) -> float:
    """Own, as the worker runs it: the library's module would count as memory of the runtime."""
    ranked = sorted(values)
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2


def mean_half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval for the mean of independent values (Student's t); None below 3 values."""
    count = len(values)
    if count < 3:
        return None
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return t95(count - 1) * math.sqrt(variance / count)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval for the median of independent values by order statistics; None below 6 values.

    Distribution-free (Conover, Practical Nonparametric Statistics, 3.2): the k-th smallest and k-th largest, with the
    largest k for which a fair coin shows fewer than k heads in so many throws with a probability of at most 2.5 %.

    Used on one figure per round. Values inside a round are correlated, so their number says nothing; rounds, seconds
    apart and interleaved with other artifacts, are nearly independent. Now and then something slows a whole round by
    a third: such rounds move a mean and its interval, but not this one.
    """
    count = len(values)
    below, k = 1, 0  # below: number of outcomes of `count` throws with at most k heads
    while below <= 0.025 * 2**count:
        k += 1
        below += math.comb(count, k)
    if k == 0:
        return None
    ranked = sorted(values)
    return ranked[k - 1], ranked[count - k]


def trend_z(values: Sequence[float]) -> float:
    """Mann-Kendall statistic: |z| > 1.96 is a trend at the 5 % level (Mann 1945; Kendall 1975), ties corrected."""
    count = len(values)
    score = sum(
        (values[later] > values[earlier]) - (values[later] < values[earlier])
        for earlier in range(count)
        for later in range(earlier + 1, count)
    )
    ties = [values.count(value) for value in set(values)]
    variance = (count * (count - 1) * (2 * count + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    if variance <= 0 or score == 0:
        return 0.0
    return (score - math.copysign(1, score)) / math.sqrt(variance)


def is_enough(round_medians: Sequence[float], values: int, seconds: float, plan: Mapping[str, float]) -> bool:
    """The stop rule: the plan's least rounds, values and seconds, and the median known to its precision."""
    if len(round_medians) < plan["rounds_min"] or values < plan["values_min"] or seconds < plan["seconds_min"]:
        return False
    interval = median_interval(round_medians)
    return interval is not None and (interval[1] - interval[0]) / 2 <= plan["precision"] * median(round_medians)


WINDOWS = 10
LEVEL_TOLERANCE = 0.02


def is_stationary(window_medians: Sequence[float]) -> bool:
    """Whether warm-up is over: the last WINDOWS medians show no trend and their halves the same level.

    Both are asked because either alone is fooled: a step leaves a weak trend, a slow slope a small step.
    """
    if len(window_medians) < WINDOWS:
        return False
    last = list(window_medians[-WINDOWS:])
    first_half = median(last[: WINDOWS // 2])
    second_half = median(last[WINDOWS // 2 :])
    return abs(trend_z(last)) < 1.96 and abs(second_half / first_half - 1) <= LEVEL_TOLERANCE


def cold_prefix(values: Sequence[float]) -> int:
    """How many values at the start of a round belong to waking up: the leading run above the 90th percentile.

    A worker that slept while others ran starts with cold caches and, on many boards, a low clock. By chance
    alone such a run is 0.1 values long.
    """
    if len(values) < 10:
        return 0
    limit = sorted(values)[int(0.9 * len(values))]
    length = 0
    while values[length] > limit:
        length += 1
    return length
