"""By how much two jobs of the same file differ on a target: learnt from existing jobs, never assumed to be small.

A job's rounds show how well its own median is known, but not where the next job's median will lie: in another process,
at another time, beside other programs. 37 of 55 pairs of jobs of one identical file had disjoint intervals.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from device_agents.python import series
from edgebench.analysis import warm_values
from edgebench.schema.record import Record

JOBS_MIN = 3
# Jobs that were interrupted, or ended after a few rounds, differ for other reasons.
_ENDED = ("complete", "budget")
_ROUNDS_MIN = 6
# If no jobs show a target's spread: twice the largest difference seen between two jobs of one file on a real device
# (91 and 115 us within an hour; docs/truth.md).
UNKNOWN = 0.5


@dataclass(frozen=True)
class Deviation:
    """Standard deviation of the logarithm of p50 between jobs. freedom: number of jobs minus number of files."""

    log: float
    freedom: int


@dataclass(frozen=True)
class Spread:
    """For the two targets of a ratio, usually the same one. None: `UNKNOWN` is assumed."""

    own: Deviation | None
    base: Deviation | None
    same_target: bool = True

    @property
    def is_known(self) -> bool:
        return self.own is not None and self.base is not None

    @property
    def log_half_width(self) -> float:
        """Half of the 95 % interval of the difference of two jobs' logarithms of p50 (Student's t)."""
        if self.own is None or self.base is None:
            return math.log1p(UNKNOWN)
        return series.t95(min(self.own.freedom, self.base.freedom)) * math.hypot(self.own.log, self.base.log)

    @property
    def least(self) -> float:
        """The smallest difference that two jobs can resolve, as a fraction."""
        return math.expm1(self.log_half_width)

    def widened(self, centre: float, interval: tuple[float, float]) -> tuple[float, float]:
        """The rounds' interval of logarithms, widened by the difference between jobs."""
        half = self.log_half_width
        return centre - math.hypot(centre - interval[0], half), centre + math.hypot(interval[1] - centre, half)


def spread(record: Record, baseline: Record, known: Mapping[str, Deviation]) -> Spread | None:
    """For a ratio of the two; None inside one job. known: by target."""
    if record.job == baseline.job:
        return None
    own, base = record.target.name, baseline.target.name
    return Spread(known.get(own), known.get(base), same_target=own == base)


def deviations(records: Iterable[Record]) -> dict[str, Deviation]:
    """By target, for every target on which some file was measured in at least `JOBS_MIN` jobs.

    A job that measured the file twice (selftest) counts once.
    """
    jobs: dict[tuple[object, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if len(record.rounds) >= _ROUNDS_MIN and record.outcome.status in _ENDED:
            p50_ns = series.median(warm_values.medians_ns(record.rounds))
            jobs[_setting(record)][record.job].append(math.log(p50_ns))
    squares: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for (target, *_), by_job in jobs.items():
        if len(by_job) >= JOBS_MIN:
            logs = [statistics.fmean(found) for found in by_job.values()]
            squares[str(target)].append((statistics.variance(logs), len(logs) - 1))
    return {target: _pooled(found) for target, found in squares.items()}


def _setting(record: Record) -> tuple[object, ...]:
    """What must be equal if two jobs measured the same thing."""
    runtime = record.runtime
    fed = tuple(one.shape for one in record.fed)
    return (
        record.target.name, record.target.threads, record.artifact.sha256, runtime.name,
        runtime.facts.get("version"), record.plan.preset, fed,
    )  # fmt: skip


def _pooled(found: list[tuple[float, int]]) -> Deviation:
    freedom = sum(degrees for _, degrees in found)
    return Deviation(math.sqrt(sum(variance * degrees for variance, degrees in found) / freedom), freedom)
