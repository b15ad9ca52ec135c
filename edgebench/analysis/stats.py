"""Pure functions on the raw values of records. Times are in ns; intervals are two-sided 95 %.

A latency is the median over rounds of each round's own quantile, with the distribution-free interval of that median
(device_agents/python/series.py: median_interval). Values inside a round are correlated, so their number says nothing
about how well the quantile is known; and a single round that was slowed as a whole does not move it. Percentiles too
high for the values of a round are computed from all values (edgebench/analysis/percentiles.py).
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
from edgebench.analysis import percentiles, warm_values
from edgebench.schema.estimate import Estimate
from edgebench.schema.plan import Plan
from edgebench.schema.record import Answers, Round

_Z95 = 1.959964


def round_quantiles_ns(rounds: Sequence[Round], q: float) -> list[float]:
    return warm_values.medians_ns(rounds) if q == 0.5 else warm_values.of(rounds).quantiles_ns(q)


def outline_ns(rounds: Sequence[Round]) -> np.ndarray:
    """Latencies of one inference without the cold starts, ascending; thinned if there are many. Float [values]."""
    return warm_values.of(rounds).outline_ns


def latency_ns(rounds: Sequence[Round], q: float) -> Estimate | None:
    """Quantile q of the latency in ns; None if there are too few values for it (`percentiles.why_none`)."""
    if not rounds:
        return None
    if q == 0.5 or percentiles.rounds_hold_enough(rounds, q):
        quantiles = round_quantiles_ns(rounds, q)
        return Estimate(series.median(quantiles), *(series.median_interval(quantiles) or ()))
    if percentiles.why_none(rounds, q):
        return None
    value, interval = percentiles.pooled(rounds, q)
    return Estimate(value, *(interval or ()))


def values_count(rounds: Sequence[Round]) -> int:
    """The number of values; a round that is a single mean counts its inferences."""
    counts = warm_values.of(rounds).counts
    return sum(count if len(one.values_ns) > 1 else one.block for one, count in zip(rounds, counts, strict=True))


def is_enough(rounds: Sequence[Round], plan: Plan) -> bool:
    """Whether the plan's stop rule is met; the agent uses the same rule."""
    medians = round_quantiles_ns(rounds, 0.5)
    values = values_count(rounds)
    seconds = sum(round_.duration_ns or sum(round_.values_ns) for round_ in rounds) / 1e9
    return series.is_enough(medians, values, seconds, msgspec.to_builtins(plan))


def throughput_hz(rounds: Sequence[Round]) -> float | None:
    """Inferences per second of busy time, run one after the other (single-stream)."""
    if not rounds:
        return None
    found = warm_values.of(rounds)
    return 1e9 * sum(found.counts) / found.sum_ns


@dataclass(frozen=True)
class Windows:
    """Rounds as MLPerf counts them: whole inferences over whole windows, the median of the windows."""

    count: int
    shortest_s: float
    least_inferences: int
    rate_hz: float


def windows(rounds: Sequence[Round]) -> Windows:
    """Needs at least one round."""
    seconds = [(round_.duration_ns or sum(round_.values_ns)) / 1e9 for round_ in rounds]
    rates_hz = [round_.inferences / long for round_, long in zip(rounds, seconds, strict=True)]
    least = min(round_.inferences for round_ in rounds)
    return Windows(len(rounds), min(seconds), least, statistics.median(rates_hz))


def mean(values: Sequence[float]) -> Estimate:
    """With Student's t-interval if there are two or more values, which are independent (windows, seeds)."""
    centre, half = statistics.mean(values), series.mean_half_width(values)
    return Estimate(centre) if half is None else Estimate(centre, centre - half, centre + half)


def proportion_difference(first: float, second: float, first_count: int, second_count: int) -> Estimate:
    """Two observed shares, first - second, with Newcombe's interval (1998, method 10) for independent samples."""
    (low1, high1) = wilson_interval(first * first_count, first_count)
    (low2, high2) = wilson_interval(second * second_count, second_count)
    difference = first - second
    below = math.hypot(first - low1, high2 - second)
    above = math.hypot(high1 - first, second - low2)
    return Estimate(difference, difference - below, difference + above)


def agreeing_difference(own: float, base: float, agreement: float, count: int) -> Estimate:
    """Accuracy of a network minus that of its parent on the same images, own - base, if only the share of answers that
    agree is known: all others may be right in one and wrong in the other.
    """
    discordant = (1 - agreement) * count
    return Estimate(own - base, *_matched((own - base) * count, max(discordant, abs(own - base) * count), count))


def _matched(won_minus_lost: float, discordant: float, count: int) -> tuple[float, float]:
    """Interval of Agresti and Min (Statistics in Medicine 24, 2005), for matched pairs."""
    centre = won_minus_lost / (count + 2)
    half = _Z95 * math.sqrt(discordant + 1 - won_minus_lost**2 / (count + 2)) / (count + 2)
    return centre - half, centre + half


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927), as fractions; 0 to 1 without observations."""
    if not count:
        return 0.0, 1.0
    z = _Z95
    share = successes / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - spread) / (1 + z * z / count), (centre + spread) / (1 + z * z / count)


def _right(answers: Answers) -> np.ndarray:
    """For each image whether the answer is right; bool [images]."""
    right: np.ndarray = _classes(answers) == np.frombuffer(base64.b64decode(answers.labels_base64), "<u2")
    return right


def _classes(answers: Answers) -> np.ndarray:
    """uint16 [images]."""
    return np.frombuffer(base64.b64decode(answers.classes_base64), "<u2")


def accuracy(answers: Answers) -> Estimate:
    """Share of the test images that the device got right, with Wilson's interval."""
    right = _right(answers)
    return Estimate(float(right.mean()), *wilson_interval(int(right.sum()), len(right)))


@dataclass(frozen=True)
class AccuracyChange:
    """Image by image. points: share of right answers minus the baseline's, as a fraction. flipped: images whose class
    changed; won, lost: those that became right, or wrong. p: McNemar's, exact, of as uneven a split by chance.
    """

    points: Estimate
    flipped: int
    won: int
    lost: int
    images: int
    p: float


def accuracy_change(own: Answers, base: Answers) -> AccuracyChange | None:
    """Of answers on the device; None if they did not classify the same images."""
    if (own.dataset, own.labels_base64) != (base.dataset, base.labels_base64):
        return None
    right, was_right = _right(own), _right(base)
    won, lost = int((right & ~was_right).sum()), int((was_right & ~right).sum())
    flipped = int((_classes(own) != _classes(base)).sum())
    return AccuracyChange(paired_difference(right, was_right), flipped, won, lost, len(right), mcnemar_p(won, lost))


def mcnemar_p(won: int, lost: int) -> float:
    """Exact, two-sided: of so many coins at most as few heads, or as many (McNemar, Psychometrika 12, 1947)."""
    count = won + lost
    if not count:
        return 1.0
    logs = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(min(won, lost) + 1)]
    return min(1.0, 2 * math.fsum(math.exp(one - count * math.log(2)) for one in logs))


def paired_difference(own: np.ndarray, base: np.ndarray) -> Estimate:
    """Difference of the shares of right answers, own - base. own, base: bool [images], of the same images."""
    won, lost, count = int((own & ~base).sum()), int((base & ~own).sum()), len(own)
    return Estimate((won - lost) / count, *_matched(won - lost, won + lost, count))
