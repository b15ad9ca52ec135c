"""Patterns of the latency over a record's rounds: two levels, pauses, missed deadlines, slowdown. Pure functions.

The verdict says which of them make a record untrustworthy; reports show the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebench.analysis import stats
from edgebench.schema.record import Record, Round

# Two levels: at least this far apart, each with at least this share of the values, and at most this share in between.
APART = 0.10
SHARE = 0.15
IN_BETWEEN = 0.05
# With fewer rounds two levels cannot be recognised.
ROUNDS_MIN = 6
THROTTLED_BITS = 0b1110


@dataclass(frozen=True)
class Levels:
    """Medians of the lower and the higher of two levels, in ns, and the share of values on the higher one."""

    low_ns: float
    high_ns: float
    high_share: float


def two_levels(rounds: Sequence[Round]) -> Levels | None:
    """Two levels of the latency with nothing in between, as from two clocks or kinds of cores; None if there is one.

    The cut makes both sides tightest (Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9, 1979), on logarithms.
    A single level, cut in two, has at least a quarter of its values in the middle half between the medians.
    """
    if len(rounds) < ROUNDS_MIN:
        return None
    logs = np.log(stats.outline_ns(rounds))
    count = len(logs)
    lower = np.arange(1, count)
    sums = np.cumsum(logs)[:-1]
    means = sums / lower, (logs.sum() - sums) / (count - lower)
    cut = int(np.argmax(lower * (count - lower) * (means[1] - means[0]) ** 2)) + 1
    low, high = float(np.median(logs[:cut])), float(np.median(logs[cut:]))
    between = np.count_nonzero((logs > low + (high - low) / 4) & (logs < high - (high - low) / 4))
    share = 1 - cut / count
    is_one = high - low < APART or min(share, 1 - share) < SHARE or between > IN_BETWEEN * count
    return None if is_one else Levels(float(np.exp(low)), float(np.exp(high)), share)


def stood_still(rounds: Sequence[Round]) -> float:
    """Share of the rounds' time outside inferences, as a fraction; 0 if unknown, or if the plan has a pace."""
    timed = [round_ for round_ in rounds if round_.duration_ns is not None and round_.missed is None]
    whole_ns = sum(round_.duration_ns or 0 for round_ in timed)
    return 1 - sum(sum(round_.values_ns) for round_ in timed) / whole_ns if whole_ns else 0.0


def missed(rounds: Sequence[Round]) -> tuple[int, int]:
    """For a plan with a pace: inferences not finished when the next was due, and all inferences."""
    paced = [round_ for round_ in rounds if round_.missed is not None]
    return sum(round_.missed or 0 for round_ in paced), sum(round_.inferences for round_ in paced)


def lowered_clock(rounds: Sequence[Round], below: float) -> tuple[list[int], int] | None:
    """Clocks of rounds below this share of the highest clock, and the highest, in Hz; None if no clock was seen."""
    clocks = [round_.clock_hz for round_ in rounds if round_.clock_hz is not None]
    if not clocks:
        return None
    return [clock for clock in clocks if clock < below * max(clocks)], max(clocks)


@dataclass(frozen=True)
class Sustained:
    """The speed over minutes without a rest.

    p50_ns: of every minute, from the first inference on. throttled_after_s: None if the device never reported it;
    reports_throttling: whether it can. slowed_after_s: when it became slower than the first minute by a tenth for good.
    """

    p50_ns: tuple[float, ...]
    throttled_after_s: float | None
    reports_throttling: bool
    slowed_after_s: float | None

    @property
    def slowdown(self) -> float:
        """The last minute's median latency over the first minute's."""
        return self.p50_ns[-1] / self.p50_ns[0]


MINUTE_NS = 60_000_000_000
SLOWED = 1.1


def sustained(record: Record) -> Sustained | None:
    """Latency over time, for a plan that looks for it. Warm-up counts as time, because it heats the device."""
    rounds = record.rounds
    if not record.plan.sustained or not rounds:
        return None
    started_ns = min(one.start_ns for one in (*record.warmup, *rounds))
    medians = stats.round_quantiles_ns(rounds, 0.5)
    ends_s = [(one.start_ns + (one.duration_ns or sum(one.values_ns)) - started_ns) / 1e9 for one in rounds]
    minutes: dict[int, list[float]] = {}
    for round_, median in zip(rounds, medians, strict=True):
        minutes.setdefault((round_.start_ns - started_ns) // MINUTE_NS, []).append(median)
    p50_ns = tuple(statistics.median(minutes[minute]) for minute in sorted(minutes))
    throttled = [
        end_s for round_, end_s in zip(rounds, ends_s, strict=True) if (round_.throttled or 0) & THROTTLED_BITS
    ]
    still_fast = [number for number, median in enumerate(medians) if median <= SLOWED * p50_ns[0]]
    slow_from = still_fast[-1] + 1 if still_fast else 0
    return Sustained(
        p50_ns,
        throttled_after_s=throttled[0] if throttled else None,
        reports_throttling=any(round_.throttled is not None for round_ in rounds),
        slowed_after_s=ends_s[slow_from] if slow_from < len(rounds) else None,
    )
