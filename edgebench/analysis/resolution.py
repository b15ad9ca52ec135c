"""What a comparison that resolved nothing could have shown, and what it would take to show more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgebench.analysis.ratios import Ratio
from edgebench.schema.record import Record


@dataclass(frozen=True)
class Resolution:
    """least: the smallest difference that these measurements could show, as a fraction.

    longer: how many times as long the same plan must run to show a difference of the margin, and seconds, of timed work
    on both sides; None if more rounds do not help. jobs: a side, to show it between jobs; None inside one job, and as
    long as it is not known what jobs differ by.
    """

    least: float
    longer: float | None
    seconds: float | None
    jobs: int | None


def of(ratio: Ratio, record: Record, baseline: Record) -> Resolution | None:
    """None if the ratio is resolved, or has no interval.

    The interval of a median narrows with the root of the number of independent rounds, and that of jobs likewise.
    """
    if ratio.outcome != "not resolved" or ratio.low is None or ratio.high is None:
        return None
    half = math.log(max(ratio.high / ratio.value, ratio.value / ratio.low))
    wanted = math.log1p(ratio.margin)
    factor = max(1.0, (half / wanted) ** 2)
    if ratio.spread is not None:
        jobs = math.ceil(factor * max(ratio.spread.jobs)) if ratio.spread.is_known else None
        return Resolution(math.expm1(half), None, None, jobs)
    return Resolution(math.expm1(half), factor, factor * (_timed_s(record) + _timed_s(baseline)), None)


def _timed_s(record: Record) -> float:
    """Of all rounds, on the device's clock."""
    return sum(one.duration_ns or sum(one.values_ns) for one in record.rounds) / 1e9
