"""Ratios of two measurements, their 95 % intervals and outcomes: different, equivalent, or not resolved.

Inside one job rounds are paired. Between two jobs more differs than rounds can show (memory placement, the clock, other
programs on a shared host): the interval of such a ratio is widened by the usual difference between jobs on the target
(edgebench/analysis/between_jobs.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from device_agents.python import series
from edgebench.analysis import between_jobs, significance, warm_values
from edgebench.analysis.between_jobs import Spread
from edgebench.schema.record import Record

# "same" means within this of 1, and reports say so.
EQUIVALENCE_MARGIN = 0.03

# different: the interval excludes 1. equivalent: it contains 1 and lies within the margin around it.
RatioOutcome = Literal["different", "equivalent", "not resolved"]

_Z95 = 1.959964


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval (None: too few rounds). paired: round by round, in one job.

    per_image: a ratio of times per image, because the two take different numbers of images at once. spread: the
    difference between two jobs, which the interval includes; None inside one job. of_medians: the ratio of the two
    medians, from which a median of paired ratios may differ. freedom: of Student's t. holm: the probability of such a
    difference by chance, adjusted for the number of comparisons made together; None if it is the only one.
    """

    value: float
    low: float | None
    high: float | None
    paired: bool
    per_image: bool = False
    spread: Spread | None = None
    margin: float = EQUIVALENCE_MARGIN
    of_medians: float | None = None
    freedom: int = 5
    holm: float | None = None

    @property
    def differs(self) -> bool | None:
        """Whether the interval excludes 1; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > 1 or self.high < 1

    @property
    def p(self) -> float | None:
        """The probability of so large a ratio, either way, between equals; below 0.05 where the interval excludes 1."""
        return self.p_against(1.0)

    def p_against(self, limit: float) -> float | None:
        """Two-sided, that the ratio is `limit`; None without an interval."""
        if self.low is None or self.high is None:
            return None
        end = self.low if self.value > limit else self.high
        half, distance = abs(math.log(self.value / end)), abs(math.log(self.value / limit))
        if not half:
            return 0.0 if distance else 1.0
        return significance.two_sided_p(distance / half * series.t95(self.freedom), self.freedom)

    @property
    def outcome(self) -> RatioOutcome:
        if self.low is None or self.high is None:
            return "not resolved"
        if self.differs:
            return "not resolved" if self.is_one_of_many else "different"
        return "equivalent" if self.within_margin else "not resolved"

    @property
    def within_margin(self) -> bool:
        """Whether the whole interval is."""
        if self.low is None or self.high is None:
            return False
        return self.low >= 1 / (1 + self.margin) and self.high <= 1 + self.margin

    @property
    def is_one_of_many(self) -> bool:
        """Its own interval excludes 1, but among so many comparisons that happens by chance (Holm)."""
        return bool(self.differs) and self.holm is not None and self.holm >= significance.LEVEL


def from_logs(
    centre: float,
    interval: tuple[float, float] | None,
    *,
    paired: bool,
    freedom: int,
    spread: Spread | None = None,
) -> Ratio:
    """From logarithms. spread: the difference between two jobs, not yet included in the interval."""
    if interval and spread:
        interval = spread.widened(centre, interval)
        freedom = min(freedom, spread.freedom)
    low, high = (math.exp(end) for end in interval) if interval else (None, None)
    return Ratio(math.exp(centre), low, high, paired, spread=spread, freedom=freedom)


def with_margin(found: Ratio, margin: float) -> Ratio:
    return replace(found, margin=margin)


def adjusted(found: Sequence[Ratio | None]) -> list[Ratio | None]:
    """Of comparisons made together, each with its probability by Holm's correction."""
    ps = [one.p for one in found if one is not None and one.p is not None]
    if len(ps) < 2:
        return list(found)
    left = iter(significance.holm(ps))
    return [one if one is None or one.p is None else replace(one, holm=next(left)) for one in found]


def latency_ratio(record: Record, baseline: Record, spread: Spread | None = None) -> Ratio | None:
    """Median latency of `record` over that of `baseline`: of an inference, or of one image if both are known to take
    different numbers. None without rounds, or if `batches_unlike` gives a reason.

    In one job the rounds are paired: what slowed one round slowed both, and the ratio is the median of the rounds'
    ratios. Otherwise it is the shift of Hodges and Lehmann (1963) between the logarithms of the round medians.
    spread: the difference between two jobs; without it the interval covers the rounds alone.
    """
    if not record.rounds or not baseline.rounds or batches_unlike(record, baseline):
        return None
    return of_images(_latency_ratio(record, baseline, spread), record, baseline)


def _latency_ratio(record: Record, baseline: Record, spread: Spread | None) -> Ratio:
    own, base = _log_medians(record), _log_medians(baseline)
    common = sorted(own.keys() & base.keys())
    if record.job == baseline.job and common:
        differences = [own[number] - base[number] for number in common]
        interval = series.median_interval(differences, cautious=True)
        found = from_logs(series.median(differences), interval, paired=True, freedom=max(1, len(common) - 1))
        of_medians = math.exp(series.median(list(own.values())) - series.median(list(base.values())))
        return replace(found, of_medians=of_medians)
    shift, interval = shift_of(list(own.values()), list(base.values()))
    freedom = max(1, len(own) + len(base) - 2)
    return from_logs(shift, interval, paired=False, freedom=freedom, spread=spread)


def of_jobs(own: Sequence[Record], base: Sequence[Record], spread: Spread) -> Ratio | None:
    """Of two sets of jobs of one file: the difference of the means of log p50. None if `batches_unlike`, or no job."""
    if not own or not base or batches_unlike(own[-1], base[-1]):
        return None
    means = [statistics.fmean(map(between_jobs.log_p50, side)) for side in (own, base)]
    centre = means[0] - means[1]
    found = from_logs(centre, (centre, centre), paired=False, freedom=spread.freedom, spread=spread)
    return of_images(found, own[-1], base[-1])


def batches_unlike(record: Record, baseline: Record) -> str:
    """Why inferences of the two are not comparable: one takes several images, the other an unknown number."""
    own, base = record.batch or None, baseline.batch or None
    known = own or base
    if (own is None) is (base is None) or known == 1:
        return ""
    here, there = ("here", "by the baseline") if own else ("by the baseline", "here")
    return f"{known} images per inference {here}, an unknown number {there}"


def of_images(found: Ratio, record: Record, baseline: Record) -> Ratio:
    """Converts a ratio of inferences to one of images, if the two are known to take different numbers at once."""
    own, base = record.batch, baseline.batch
    if not own or not base or own == base:
        return found
    low, high, of_medians = (
        None if one is None else one * base / own for one in (found.low, found.high, found.of_medians)
    )
    return replace(found, value=found.value * base / own, low=low, high=high, of_medians=of_medians, per_image=True)


def _log_medians(record: Record) -> dict[int, float]:
    medians = warm_values.medians_ns(record.rounds)
    return {round_.number: math.log(median) for round_, median in zip(record.rounds, medians, strict=True)}


def shift_of(left: Sequence[float], right: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The median of all pairwise differences, and the interval that inverts the rank-sum test of Mann and Whitney.

    Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.3, large samples; None below 6 values a side.
    Wider if rounds resemble the rounds before them, as for the interval of a median.
    """
    differences = np.sort(np.subtract.outer(left, right), axis=None)
    shift = float(np.median(differences))
    n, m = len(left), len(right)
    if min(n, m) < 6:
        return shift, None
    widening = (1 / series.effective_count(left) + 1 / series.effective_count(right)) / (1 / n + 1 / m)
    k = max(1, math.floor(n * m / 2 - _Z95 * math.sqrt(widening * n * m * (n + m + 1) / 12)))
    return shift, (float(differences[k - 1]), float(differences[n * m - k]))
