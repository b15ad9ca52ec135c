"""Pure functions on the raw values of records. Times are in ns; intervals are two-sided 95 %.

A latency is the median over rounds of each round's own quantile, with the distribution-free interval of that median
(device_agents/python/series.py: median_interval). Values inside a round are correlated, so their number says nothing
about how well the quantile is known; and a round that something slowed as a whole does not move it.
"""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from device_agents.python import series
from edgebench.plan import Plan
from edgebench.record import Answers, Record, Round

_Z95 = 1.959964
# A quantile q of one round needs this many values beyond it to mean anything (10 x 0.1 is less than 1 in binary).
_TAIL_VALUES = 1 - 1e-9


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; low and high are None where there are too few rounds or values."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def relative(self) -> float | None:
        return None if self.half_width is None else self.half_width / self.value


def settled_ns(round_: Round) -> np.ndarray:
    """Latencies of one inference in a round, without the cold start of the worker's waking up. Float [values].

    With a pace (`missed` is counted) every inference begins cold: all of them count.
    """
    cold = series.cold_prefix(round_.values_ns) if round_.missed is None else 0
    return np.asarray(round_.values_ns[cold:], dtype=float) / round_.block


def round_quantiles_ns(rounds: Sequence[Round], q: float) -> list[float]:
    return [float(np.quantile(settled_ns(round_), q)) for round_ in rounds]


def latency_ns(rounds: Sequence[Round], q: float) -> Estimate | None:
    """Quantile q of the latency in ns: the median of the rounds' quantiles."""
    if not rounds:
        return None
    quantiles = round_quantiles_ns(rounds, q)
    enough = all(len(settled_ns(round_)) * (1 - q) >= _TAIL_VALUES for round_ in rounds)
    interval = series.median_interval(quantiles) if enough else None
    return Estimate(series.median(quantiles), *(interval or ()))


def values_count(rounds: Sequence[Round]) -> int:
    """How many values there are; a round that is one mean counts by its inferences."""
    return sum(len(settled_ns(one)) if len(one.values_ns) > 1 else one.block for one in rounds)


def is_enough(rounds: Sequence[Round], plan: Plan) -> bool:
    """Whether the plan's stop rule was met; the agent stops by the same one."""
    medians = round_quantiles_ns(rounds, 0.5)
    values = values_count(rounds)
    seconds = sum(round_.duration_ns or sum(round_.values_ns) for round_ in rounds) / 1e9
    return series.is_enough(medians, values, seconds, msgspec.to_builtins(plan))


def throughput_hz(rounds: Sequence[Round]) -> float | None:
    """Inferences per second of busy time, batch 1, one after the other (single-stream)."""
    if not rounds:
        return None
    pooled = np.concatenate([settled_ns(round_) for round_ in rounds])
    return 1e9 / float(pooled.mean())


@dataclass(frozen=True)
class Windows:
    """Rounds as MLPerf counts them: whole inferences over whole windows, the median of the windows."""

    count: int
    shortest_s: float
    least_inferences: int
    rate_hz: float


def windows(rounds: Sequence[Round]) -> Windows:
    """Of at least one round."""
    seconds = [(round_.duration_ns or sum(round_.values_ns)) / 1e9 for round_ in rounds]
    rates_hz = [round_.inferences / long for round_, long in zip(rounds, seconds, strict=True)]
    least = min(round_.inferences for round_ in rounds)
    return Windows(len(rounds), min(seconds), least, statistics.median(rates_hz))


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians with its 95 % interval (None: too few rounds). paired: round by round, in one job."""

    value: float
    low: float | None
    high: float | None
    paired: bool

    @property
    def differs(self) -> bool | None:
        """Whether the interval leaves 1 out; None if there is none."""
        if self.low is None or self.high is None:
            return None
        return self.low > 1 or self.high < 1


def latency_ratio(record: Record, baseline: Record) -> Ratio | None:
    """Median latency of `record` over that of `baseline`.

    In one job the rounds are paired: what slowed one round slowed both, and the ratio is the median of the rounds'
    ratios. Otherwise it is the shift of Hodges and Lehmann (1963) between the logarithms of the round medians.
    """
    own, base = _log_medians(record), _log_medians(baseline)
    if not own or not base:
        return None
    common = sorted(own.keys() & base.keys())
    if record.job == baseline.job and common:
        differences = [own[number] - base[number] for number in common]
        return _ratio(series.median(differences), series.median_interval(differences, cautious=True), paired=True)
    shift, interval = shift_of(list(own.values()), list(base.values()))
    return _ratio(shift, interval, paired=False)


def _log_medians(record: Record) -> dict[int, float]:
    medians = round_quantiles_ns(record.rounds, 0.5)
    return {round_.number: math.log(median) for round_, median in zip(record.rounds, medians, strict=True)}


def shift_of(left: Sequence[float], right: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The median of all pairwise differences, and the interval that inverts the rank-sum test of Mann and Whitney.

    Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.3, large samples; None below 6 values a side.
    Wider, as the interval of a median is, where rounds resemble the rounds before them.
    """
    differences = np.sort(np.subtract.outer(left, right), axis=None)
    shift = float(np.median(differences))
    n, m = len(left), len(right)
    if min(n, m) < 6:
        return shift, None
    widening = (1 / series.effective_count(left) + 1 / series.effective_count(right)) / (1 / n + 1 / m)
    k = max(1, math.floor(n * m / 2 - _Z95 * math.sqrt(widening * n * m * (n + m + 1) / 12)))
    return shift, (float(differences[k - 1]), float(differences[n * m - k]))


def _ratio(log_ratio: float, interval: tuple[float, float] | None, *, paired: bool) -> Ratio:
    low, high = (math.exp(end) for end in interval) if interval else (None, None)
    return Ratio(math.exp(log_ratio), low, high, paired)


def mean(values: Sequence[float]) -> Estimate:
    """With Student's t-interval, from two values on; they are independent of one another (windows, seeds)."""
    centre, half = statistics.mean(values), series.mean_half_width(values)
    return Estimate(centre) if half is None else Estimate(centre, centre - half, centre + half)


def proportion_difference(first: float, second: float, first_count: int, second_count: int) -> Estimate:
    """First - second of two observed shares, with Newcombe's interval (1998, method 10) for independent samples."""
    (low1, high1) = wilson_interval(first * first_count, first_count)
    (low2, high2) = wilson_interval(second * second_count, second_count)
    difference = first - second
    below = math.hypot(first - low1, high2 - second)
    above = math.hypot(high1 - first, second - low2)
    return Estimate(difference, difference - below, difference + above)


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927), as fractions."""
    z = _Z95
    share = successes / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - spread) / (1 + z * z / count), (centre + spread) / (1 + z * z / count)


def _right(answers: Answers) -> np.ndarray:
    """For each image whether it was told; bool [images]."""
    told, labels = (
        np.frombuffer(base64.b64decode(text), "<u2") for text in (answers.classes_base64, answers.labels_base64)
    )
    right: np.ndarray = told == labels
    return right


def accuracy(answers: Answers) -> Estimate:
    """Share of the test images that the device told, with Wilson's interval."""
    right = _right(answers)
    return Estimate(float(right.mean()), *wilson_interval(int(right.sum()), len(right)))


def accuracy_difference(answers: Answers, baseline: Answers) -> Estimate | None:
    """Accuracy less the baseline's, image by image; None if they were not asked about the same images."""
    if (answers.dataset, answers.labels_base64) != (baseline.dataset, baseline.labels_base64):
        return None
    return paired_difference(_right(answers), _right(baseline))


def paired_difference(own: np.ndarray, base: np.ndarray) -> Estimate:
    """Share of the images that `own` tells less that of `base`. own, base: bool [images], of the same images.

    Interval: Agresti and Min (Statistics in Medicine 24, 2005), for matched pairs.
    """
    won, lost, count = int((own & ~base).sum()), int((base & ~own).sum()), len(own)
    centre = (won - lost) / (count + 2)
    half = _Z95 * math.sqrt(won + lost + 1 - (won - lost) ** 2 / (count + 2)) / (count + 2)
    return Estimate((won - lost) / count, centre - half, centre + half)
