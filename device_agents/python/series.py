"""Pure functions on series of latencies, which the host uses as well.

All values are positive numbers in any one unit of time.
"""

from __future__ import annotations

import bisect
import functools
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# Two-sided 95 % points of Student's t for 1..30 degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
# No series of rounds is long enough to tell more than this from a drift.
MAX_RESEMBLANCE = 0.9
EFFECTIVE_ROUNDS_MIN = 6
# A plan that asks for no better precision than this takes joules as they come.
NO_PRECISION = 1.0


def t95(freedom: int) -> float:
    """Two-sided 95 % point of Student's t; beyond 30 degrees of freedom the first terms of Cornish and Fisher."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def median(values: Sequence[float]) -> float:
    """Not the standard library's: in the worker its module would count as memory of the runtime."""
    ranked = sorted(values)
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2


def mean_half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval for the mean of independent values (Student's t); None below 2 values."""
    count = len(values)
    if count < 2:
        return None
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return t95(count - 1) * math.sqrt(variance / count)


def guarded_half_width(values: Sequence[float], left: Sequence[float]) -> float | None:
    """The same for energy windows. left: standard uncertainty that reading leaves in each; windows that happen to
    agree cannot remove it.
    """
    half = mean_half_width(values)
    if half is None:
        return None
    return max(half, 2 * math.fsum(left) / len(left) / math.sqrt(len(values)))


def is_mean_precise(values: Sequence[float], left: Sequence[float], precision: float) -> bool:
    """Whether the mean of energy windows is known to +/- `precision`, with 95 %. NO_PRECISION: as it comes."""
    half = guarded_half_width(values, left)
    if half is None or precision >= NO_PRECISION:
        return half is not None
    return half <= precision * abs(math.fsum(values) / len(values))


def median_interval(values: Sequence[float], *, cautious: bool = False) -> tuple[float, float] | None:
    """The 95 % interval for the median of values in the order of their time, by order statistics; None below 6 values.

    Distribution-free, from the sign test (Conover, Practical Nonparametric Statistics, 3.2), between two order
    statistics where the exact ranks lie between, and wider for values that resemble their predecessors: ranks as far
    from the middle as for `effective_count` independent values. cautious: out to whole ranks, which cover 95 to 99 %;
    deciding by such an interval whether there is a difference is wrong in one case of twenty at most.

    Used on one figure per round. Values inside a round are correlated, so their number says nothing; rounds are nearly
    independent. Now and then something slows a whole round by a third: that moves a mean and its interval, not these.
    """
    return _interval(values, effective_count(values), cautious)


def _interval(values: Sequence[float], effective: float, cautious: bool) -> tuple[float, float] | None:
    count = len(values)
    rank = _outer_rank(count)
    if rank is None:
        return None
    middle = (count + 1) / 2
    rank = max(1.0, middle - (middle - rank) * math.sqrt(count / effective))
    if cautious:
        rank = math.floor(rank)
    ranked = sorted(values)
    return _at_rank(ranked, rank), _at_rank(ranked, count + 1 - rank)


@functools.lru_cache(maxsize=256)
def _outer_rank(count: int) -> float | None:
    """Where the 95 % interval for the median of so many independent values begins: its rank, from 1; None below 6.

    Whole ranks give 95 to 99 %; in between as Hettmansperger and Sheather (Statistics and Probability Letters 4, 1986)
    interpolate.
    """
    outcomes, k = 1, 0  # of `count` throws of a fair coin, those with at most k heads
    while outcomes <= 0.025 * (1 << count):
        k += 1
        outcomes += math.comb(count, k)
    if k == 0:
        return None
    narrow = 1 - 2 * outcomes / (1 << count)
    wide = narrow + 2 * math.comb(count, k) / (1 << count)
    share = (wide - 0.95) / (wide - narrow)
    return k + (count - k) * share / (k + (count - 2 * k) * share)


def _at_rank(ranked: Sequence[float], rank: float) -> float:
    below = math.floor(rank)
    above = min(below + 1, len(ranked))
    return ranked[below - 1] + (rank - below) * (ranked[above - 1] - ranked[below - 1])


def effective_count(values: Sequence[float]) -> float:
    """How many independent values would say as much of their median: n (1 - r) / (1 + r).

    r: how much a value resembles its predecessor (lag-1 autocorrelation of the ranks). In short series it comes out too
    low, by 1/n if there is none (Marriott and Pope, Biometrika 41, 1954); half of that is put back, as much again comes
    of leaving out negative r. Series that alternate count in full.
    """
    count = len(values)
    ranked = sorted(values)
    ranks = [(bisect.bisect_left(ranked, value) + bisect.bisect_right(ranked, value) - count) / 2 for value in values]
    variance = sum(rank * rank for rank in ranks)
    if count < 6 or not variance:
        return count
    resemblance = sum(later * earlier for later, earlier in zip(ranks[1:], ranks)) / variance
    r = min(max(resemblance + 0.5 / count, 0.0), MAX_RESEMBLANCE)
    return count * (1 - r) / (1 + r)


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


def is_enough(round_medians: Sequence[float], values: int, seconds: float, plan: Mapping[str, Any]) -> bool:
    """The stop rule: the plan's least rounds, values and seconds, and the median known to its precision, if it has one.

    Known also from the first two thirds of the rounds: looking after every round and stopping at the first narrow
    interval would stop at one that is narrow by chance.
    """
    count = len(round_medians)
    if count < plan["rounds_min"] or values < plan["values_min"] or seconds < plan["seconds_min"]:
        return False
    if plan["precision"] is None:
        return True
    earlier = max(EFFECTIVE_ROUNDS_MIN, 2 * count // 3)
    return all(_is_precise(part, plan["precision"]) for part in (round_medians, round_medians[:earlier]))


def _is_precise(round_medians: Sequence[float], precision: float) -> bool:
    effective = effective_count(round_medians)
    interval = _interval(round_medians, effective, cautious=False)
    if interval is None or effective < EFFECTIVE_ROUNDS_MIN:
        return False
    return (interval[1] - interval[0]) / 2 <= precision * median(round_medians)


WINDOWS = 10
LEVEL_TOLERANCE = 0.02
SLOPE_TOLERANCE = 0.005


def is_stationary(window_medians: Sequence[float]) -> bool:
    """Whether warm-up is over: the last WINDOWS medians show no trend and their halves the same level.

    Both are tested because either alone is fooled: a step leaves a weak trend, a slow slope a small step. A decay too
    slow for so few windows shows in the last third of all of them, where a trend counts if the level changes too.
    """
    if len(window_medians) < WINDOWS:
        return False
    last = window_medians[-WINDOWS:]
    if _has_trend(last) or _level_change(last) > LEVEL_TOLERANCE:
        return False
    last_third = window_medians[2 * len(window_medians) // 3 :]
    return not (_has_trend(last_third) and _level_change(last_third) > SLOPE_TOLERANCE)


def _has_trend(values: Sequence[float]) -> bool:
    return abs(trend_z(values)) >= 1.96


def _level_change(values: Sequence[float]) -> float:
    """From the first half to the second, as a fraction."""
    half = len(values) // 2
    return abs(median(values[half:]) / median(values[:half]) - 1)


def cold_prefix(values: Sequence[float]) -> int:
    """How many values at the start of a round belong to waking up: the leading run above the upper quartile.

    A worker that slept while others ran starts with cold caches and, on many boards, a low clock. By chance alone such
    a run is a third of a value long. Only what stands out from the noise is found: a lower limit would find more.
    """
    if len(values) < 10:
        return 0
    limit = sorted(values)[int(0.75 * len(values))]
    length = 0
    while values[length] > limit:
        length += 1
    return length
