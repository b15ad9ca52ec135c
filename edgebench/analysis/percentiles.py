"""High percentiles: of each round if rounds hold enough values, else of all values pooled.

The interval for pooled values respects rounds: it lies between two order statistics (Woodruff, Journal of the American
Statistical Association 47, 1952), as for the effective number of independent values. That number follows from how
unevenly the values beyond the percentile fall into the rounds (the design effect of Kish, Survey Sampling, 1965), with
Student's t for the number of rounds. If it is too small for such order statistics, there is no interval.

Chosen by coverage (benchmarks/percentiles.py; docs/truth.md): an interval from resampling whole rounds contains the
truth in 56 to 94 % of cases; one that takes correlated values as independent, in 18 to 81 %; this one, in 89 to 99 %,
or it is hardly ever given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from device_agents.python import series
from edgebench.analysis import warm_values
from edgebench.schema.record import Round

Interval = tuple[float, float]

# A quantile q needs this many values beyond it to mean anything (10 x 0.1 is less than 1 in binary).
_TAIL_VALUES = 1 - 1e-9
# Fewer rounds do not show that some are slow as a whole.
_ROUNDS_MIN = 30
_Z95 = 1.959964
_OUTSIDE = 0.025


def rounds_hold_enough(rounds: Sequence[Round], q: float) -> bool:
    return all(_holds_enough(count, q) for count in warm_values.of(rounds).counts)


def why_none(rounds: Sequence[Round], q: float) -> str:
    """`p99 needs 100 values, there are 31`; empty if there is such a percentile."""
    count = sum(warm_values.of(rounds).counts)
    if not rounds or _holds_enough(count, q):
        return ""
    return f"p{100 * q:g} needs {round(1 / (1 - q))} values, there are {count}"


def _holds_enough(count: int, q: float) -> bool:
    return count * (1 - q) >= _TAIL_VALUES


def pooled(rounds: Sequence[Round], q: float) -> tuple[float, Interval | None]:
    """Quantile q of all values in ns, and its 95 % interval; needs at least one round."""
    found = warm_values.of(rounds)
    ranked = found.pooled_ns
    value = float(np.quantile(ranked, q))
    beyond = [int(np.count_nonzero(values > value)) for values in found.values_ns]
    ranks = _ranks(_worth(beyond, found.counts, q), q)
    if ranks is None:
        return value, None
    low, high = ranks
    return value, (min(value, _at_share(ranked, low)), max(value, _at_share(ranked, 1 - high)))


def _worth(beyond: Sequence[int], counts: Sequence[int], q: float) -> int:
    """The effective number of independent values; 0 with too few rounds.

    beyond: the number of values beyond the quantile in each round, which has `counts` values.
    """
    rounds, count = len(counts), sum(counts)
    if rounds < _ROUNDS_MIN:
        return 0
    uneven = sum((one - (1 - q) * of) ** 2 for one, of in zip(beyond, counts, strict=True)) * rounds / (rounds - 1)
    design_effect = max(1.0, uneven / (count * q * (1 - q)))
    return int(count / design_effect * (_Z95 / series.t95(rounds - 1)) ** 2)


@functools.lru_cache(maxsize=256)
def _ranks(count: int, q: float) -> Interval | None:
    """For `count` independent values, the shares that lie below the lower and above the upper end of the 95 % interval
    of quantile q; None if there are too few for either end.
    """
    if count < 1:
        return None
    k = np.arange(count + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    logs = log_factorial[count] - log_factorial[k] - log_factorial[count - k] + k * math.log(q)
    at_most = np.cumsum(np.exp(logs + (count - k) * math.log1p(-q)))
    lower = int(np.searchsorted(at_most, _OUTSIDE, side="right"))
    upper = int(np.searchsorted(at_most, 1 - _OUTSIDE, side="left")) + 1
    return None if lower < 1 or upper > count else (lower / count, (count - upper) / count)


def _at_share(ranked: np.ndarray, below: float) -> float:
    """The value below which this share of the others lies."""
    rank = math.ceil(below * len(ranked) - 1e-9)
    return float(ranked[min(max(rank, 1), len(ranked)) - 1])
