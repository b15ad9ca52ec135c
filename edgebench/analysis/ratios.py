"""Ratios of two measurements, their 95 % intervals and outcomes: different, equivalent, or not resolved.

Inside one job rounds are paired. Between two jobs more differs than rounds can show (memory placement, the clock, other
programs on a shared host): the interval of such a ratio is widened by the usual difference between jobs on the target
(edgebench/analysis/between_jobs.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from device_agents.python import series
from edgebench.analysis import warm_values
from edgebench.analysis.between_jobs import Spread
from edgebench.schema.record import Record

# "same" means within this of 1, and reports say so.
EQUIVALENCE_MARGIN = 0.03

# different: the interval excludes 1. equivalent: it contains 1 and lies within EQUIVALENCE_MARGIN of it.
RatioOutcome = Literal["different", "equivalent", "not resolved"]

_Z95 = 1.959964


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval (None: too few rounds). paired: round by round, in one job.

    per_image: a ratio of times per image, because the two take different numbers of images at once. spread: the
    difference between two jobs, which the interval includes; None inside one job.
    """

    value: float
    low: float | None
    high: float | None
    paired: bool
    per_image: bool = False
    spread: Spread | None = None

    @property
    def differs(self) -> bool | None:
        """Whether the interval excludes 1; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > 1 or self.high < 1

    @property
    def outcome(self) -> RatioOutcome:
        if self.low is None or self.high is None:
            return "not resolved"
        if self.differs:
            return "different"
        within = self.low >= 1 / (1 + EQUIVALENCE_MARGIN) and self.high <= 1 + EQUIVALENCE_MARGIN
        return "equivalent" if within else "not resolved"


def from_logs(
    centre: float, interval: tuple[float, float] | None, *, paired: bool, spread: Spread | None = None
) -> Ratio:
    """From logarithms. spread: the difference between two jobs, not yet included in the interval."""
    if interval and spread:
        interval = spread.widened(centre, interval)
    low, high = (math.exp(end) for end in interval) if interval else (None, None)
    return Ratio(math.exp(centre), low, high, paired, spread=spread)


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
        return from_logs(series.median(differences), series.median_interval(differences, cautious=True), paired=True)
    shift, interval = shift_of(list(own.values()), list(base.values()))
    return from_logs(shift, interval, paired=False, spread=spread)


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
    low, high = (None if end is None else end * base / own for end in (found.low, found.high))
    return replace(found, value=found.value * base / own, low=low, high=high, per_image=True)


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
