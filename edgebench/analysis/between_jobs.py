"""By how much two jobs of the same file differ on a target: learnt from existing jobs, never assumed to be small.

A job's rounds show how well its own median is known, but not where the next job's median will lie: in another process,
at another time, beside other programs. 37 of 55 pairs of jobs of one identical file had disjoint intervals. So the job
is a random effect: log p50 = file + job + rounds, and the deviation of jobs is that of the sum of the last two.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from device_agents.python import series
from edgebench.analysis import warm_values
from edgebench.schema.record import Record

# Degrees of freedom: three jobs of one file, or two jobs each of two files.
FREEDOM_MIN = 2
# Jobs that were interrupted, or ended after a few rounds, differ for other reasons.
_ENDED = ("complete", "budget")
_ROUNDS_MIN = 6
# The variance of a mean of consecutive jobs that resemble one another by half (a machine that is slower for a while),
# over that of independent ones. It is assumed for sides that were measured one after the other: what moved between the
# two cannot be told from what changed.
_IN_A_ROW = 3.0
# If no jobs show a target's spread: twice the largest difference seen between two jobs of one file on a real device
# (91 and 115 us within an hour; docs/truth.md).
UNKNOWN = 0.5


@dataclass(frozen=True)
class Deviation:
    """Standard deviation of the logarithm of p50 between jobs. freedom: number of jobs minus number of files.

    reach: the largest difference between two jobs of one file. selftest: when the target's own A/A comparison found it;
    empty if it was learnt from the records at hand.
    """

    log: float
    freedom: int
    reach: float = 0.0
    selftest: str = ""


@dataclass(frozen=True)
class Spread:
    """For the two targets of a ratio, usually the same one. None: `UNKNOWN` is assumed.

    jobs: on each side. by_turns: the jobs of the two sides alternate in time.
    """

    own: Deviation | None
    base: Deviation | None
    same_target: bool = True
    jobs: tuple[int, int] = (1, 1)
    by_turns: bool = True

    @property
    def is_known(self) -> bool:
        return self.own is not None and self.base is not None

    @property
    def freedom(self) -> int:
        """Of Student's t; 1 if the spread is not known."""
        return 1 if self.own is None or self.base is None else min(self.own.freedom, self.base.freedom)

    @property
    def selftest(self) -> str:
        return next((one.selftest for one in (self.own, self.base) if one and one.selftest), "")

    @property
    def log_half_width(self) -> float:
        """Half of the 95 % interval of the difference of the two sides' logarithms of p50 (Student's t)."""
        if self.own is None or self.base is None:
            return math.log1p(UNKNOWN)
        factor = 1.0 if self.by_turns else _IN_A_ROW
        # The mean of jobs is never less certain than one of them.
        of_means = [
            one.log * math.sqrt(min(factor, jobs) / jobs)
            for one, jobs in zip((self.own, self.base), self.jobs, strict=True)
        ]
        half = series.t95(self.freedom) * math.hypot(*of_means)
        # A deviation from few jobs misses the tails of what single jobs do.
        return max(half, self.own.reach, self.base.reach) if self.jobs == (1, 1) else half

    @property
    def least(self) -> float:
        """The smallest difference that so many jobs can resolve, as a fraction."""
        return math.expm1(self.log_half_width)

    def widened(self, centre: float, interval: tuple[float, float]) -> tuple[float, float]:
        """The rounds' interval of logarithms, reaching at least as far as jobs differ, which rounds are a part of."""
        half = self.log_half_width
        if not self.is_known:
            return centre - math.hypot(centre - interval[0], half), centre + math.hypot(interval[1] - centre, half)
        return min(interval[0], centre - half), max(interval[1], centre + half)


def spread(record: Record, baseline: Record, known: Mapping[str, Deviation]) -> Spread | None:
    """For a ratio of the two; None inside one job. known: by target."""
    if record.job == baseline.job:
        return None
    own, base = record.target.name, baseline.target.name
    return Spread(known.get(own), known.get(base), same_target=own == base)


def of_sides(own: Sequence[Record], base: Sequence[Record], known: Mapping[str, Deviation]) -> Spread:
    """For a ratio of two sets of jobs, each of at least one."""
    both = sorted([*((one.created, True) for one in own), *((one.created, False) for one in base)])
    turns = sum(one is not other for (_, one), (_, other) in itertools.pairwise(both))
    targets = own[-1].target.name, base[-1].target.name
    return Spread(
        known.get(targets[0]),
        known.get(targets[1]),
        same_target=targets[0] == targets[1],
        jobs=(len(own), len(base)),
        by_turns=turns >= min(len(own), len(base)),
    )


def deviations(records: Iterable[Record]) -> dict[str, Deviation]:
    """By target, for every target on which jobs of the same files leave `FREEDOM_MIN` degrees of freedom or more.

    A job that measured the file twice (selftest) counts once. Results folders are sides of a comparison: what they
    differ by is no part of the deviation.
    """
    jobs: dict[tuple[object, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if is_whole(record):
            jobs[setting(record)][record.job].append(log_p50(record))
    by_target: dict[str, list[list[float]]] = defaultdict(list)
    for (target, *_), by_job in jobs.items():
        if len(by_job) > 1:
            by_target[str(target)].append([statistics.fmean(found) for found in by_job.values()])
    return {
        target: pooled(found) for target, found in by_target.items() if sum(map(len, found)) - len(found) >= FREEDOM_MIN
    }


def pooled(found: Sequence[Sequence[float]]) -> Deviation:
    """found: for each file the logarithms of its jobs' p50, at least two."""
    freedom = sum(len(logs) - 1 for logs in found)
    variance = sum(statistics.variance(logs) * (len(logs) - 1) for logs in found) / freedom
    return Deviation(math.sqrt(variance), freedom, max(max(logs) - min(logs) for logs in found))


def of_a_row(found: Deviation) -> Deviation:
    """Learnt from jobs that followed one another, which resemble one another: what it says of other hours."""
    return replace(found, log=found.log * math.sqrt(_IN_A_ROW))


def is_whole(record: Record) -> bool:
    """Whether the job ended by itself, after enough rounds."""
    return len(record.rounds) >= _ROUNDS_MIN and record.outcome.status in _ENDED


def log_p50(record: Record) -> float:
    return math.log(series.median(warm_values.medians_ns(record.rounds)))


def setting(record: Record) -> tuple[object, ...]:
    """What must be equal if two jobs measured the same thing."""
    runtime = record.runtime
    fed = tuple(one.shape for one in record.fed)
    return (
        record.target.name, record.target.threads, record.artifact.sha256, runtime.name,
        runtime.facts.get("version"), record.plan.preset, fed, record.path and record.path.parent,
    )  # fmt: skip
