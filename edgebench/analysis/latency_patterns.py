"""How latencies behaved over a record's rounds: two levels, standing still, late, losing speed. Pure functions.

The verdict says what of it makes a record untrustworthy; reports show the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebench.analysis import stats
from edgebench.schema.record import Record, Round

# Two levels: this far apart, each with so many of the values, and so few of them in the middle half between both.
APART = 0.10
SHARE = 0.15
IN_BETWEEN = 0.05
# Rounds that two levels can be told from.
ROUNDS_MIN = 6
THROTTLED_BITS = 0b1110


@dataclass(frozen=True)
class Levels:
    """Medians of the lower and of the higher of two levels, in ns, and the share of the values that are high."""

    low_ns: float
    high_ns: float
    high_share: float


def two_levels(rounds: Sequence[Round]) -> Levels | None:
    """Whether latencies have two levels with nothing between them: two clocks, or two kinds of cores.

    The cut is where both sides are tightest (Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9, 1979), on
    logarithms. A single level, cut in two, has a quarter of its values or more in the middle half between the medians.
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
    """Share of the rounds' time that belongs to no inference, as a fraction; 0 where it is not known, or has a pace."""
    timed = [round_ for round_ in rounds if round_.duration_ns is not None and round_.missed is None]
    whole_ns = sum(round_.duration_ns or 0 for round_ in timed)
    return 1 - sum(sum(round_.values_ns) for round_ in timed) / whole_ns if whole_ns else 0.0


def missed(rounds: Sequence[Round]) -> tuple[int, int]:
    """Of a plan with a pace: inferences that were not done when the next was due, and all of them."""
    paced = [round_ for round_ in rounds if round_.missed is not None]
    return sum(round_.missed or 0 for round_ in paced), sum(round_.inferences for round_ in paced)


def lowered_clock(rounds: Sequence[Round], below: float) -> tuple[list[int], int] | None:
    """Clocks of the rounds that were below so much of the highest of all, in Hz, and that; None if it was not seen."""
    clocks = [round_.clock_hz for round_ in rounds if round_.clock_hz is not None]
    if not clocks:
        return None
    return [clock for clock in clocks if clock < below * max(clocks)], max(clocks)


@dataclass(frozen=True)
class Sustained:
    """What is left of a speed after minutes without a rest.

    p50_ns: of every minute, from the first inference on. throttled_after_s: None if the device never said so; tells:
    whether it is one that would. slowed_after_s: from when on it stayed slower than in the first minute by a tenth.
    """

    p50_ns: tuple[float, ...]
    throttled_after_s: float | None
    tells: bool
    slowed_after_s: float | None

    @property
    def slowdown(self) -> float:
        """The last minute's median latency over the first one's."""
        return self.p50_ns[-1] / self.p50_ns[0]


MINUTE_NS = 60_000_000_000
SLOWED = 1.1


def sustained(record: Record) -> Sustained | None:
    """Latency over time of a record whose plan looks for it. Warm-up counts as time: it heats the device as well."""
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
        tells=any(round_.throttled is not None for round_ in rounds),
        slowed_after_s=ends_s[slow_from] if slow_from < len(rounds) else None,
    )
