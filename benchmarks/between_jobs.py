"""How often jobs of one identical file are called different, how often the interval holds the truth, and how often a
file that became 3 % slower is found.

    python -m benchmarks.between_jobs                          # a minute
    python -m benchmarks.between_jobs --records results        # and all pairs of jobs of one file in a results folder

A job is twelve rounds, 0.3 % apart, around a level of its own, which is 1 % from that of other jobs and, with drift,
resembles the one before it. What jobs differ by is learnt from earlier jobs of the file (its self-test) and from those
that are compared.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import report
from edgebench.analysis import between_jobs, ratios
from edgebench.analysis.between_jobs import Spread
from edgebench.schema import record_files
from edgebench.schema.record import Record

Levels = Callable[[np.random.Generator, int], np.ndarray]

ROUNDS, NOISE, SPREAD, RESEMBLANCE = 12, 0.003, 0.01, 0.5
SLOWER = math.log(1.03)


def independent(source: np.random.Generator, count: int) -> np.ndarray:
    return SPREAD * source.normal(size=count)


def heavy_tails(source: np.random.Generator, count: int) -> np.ndarray:
    return SPREAD / math.sqrt(3) * source.standard_t(3, size=count)


def drifting(source: np.random.Generator, count: int) -> np.ndarray:
    """Half of each level is that of the job before it."""
    steps = SPREAD * math.sqrt(1 - RESEMBLANCE**2) * source.normal(size=count)
    levels = np.empty(count)
    levels[0] = SPREAD * source.normal()
    for index in range(1, count):
        levels[index] = RESEMBLANCE * levels[index - 1] + steps[index]
    return levels


LEVELS: dict[str, Levels] = {
    "independent": independent,
    "heavy tails (t3)": heavy_tails,
    "drift between jobs": drifting,
    "half of it drift": lambda source, count: (drifting(source, count) + independent(source, count)) / math.sqrt(2),
}


@dataclass(frozen=True)
class Design:
    """learnt: earlier jobs of the file; jobs: on each side."""

    learnt: int
    jobs: int
    by_turns: bool

    def __str__(self) -> str:
        order = "" if self.jobs == 1 else ", by turns" if self.by_turns else ", one side after the other"
        return f"{self.jobs} a side{order}; {self.learnt} before"


DESIGNS = (
    Design(5, 1, True), Design(12, 1, True), Design(12, 3, True), Design(0, 5, True), Design(12, 5, True),
    Design(0, 8, False), Design(12, 8, False),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--records", type=Path, help="a results folder")
    asked = parser.parse_args()
    print(report.conditions(("numpy",)), f"{asked.experiments} experiments", sep="; ", end="\n\n")
    header = ["levels of jobs", "jobs", "false alarms", "coverage", "3 % found", "resolves"]
    table = report.Table(header, [18, 38, 12, 8, 9, 8])
    for name, draw in LEVELS.items():
        for design in DESIGNS:
            equal = [_interval(np.random.default_rng(seed), draw, design, 0.0) for seed in range(asked.experiments)]
            slower = [_interval(np.random.default_rng(seed), draw, design, SLOWER) for seed in range(asked.experiments)]
            false = statistics.fmean(not low <= 0 <= high for low, high in equal)
            covered = statistics.fmean(low <= SLOWER <= high for low, high in slower)
            found = statistics.fmean(low > 0 for low, _ in slower)
            least = math.expm1(statistics.median((high - low) / 2 for low, high in equal))
            table.add([name, str(design), f"{false:.1%}", f"{covered:.1%}", f"{found:.0%}", f"{least:.1%}"])
    if asked.records:
        _print_recorded(asked.records)
    return 0


def _interval(source: np.random.Generator, draw: Levels, design: Design, change: float) -> tuple[float, float]:
    """The interval of the logarithm of the ratio of one experiment."""
    levels = draw(source, design.learnt + 2 * design.jobs)
    jobs = [level + NOISE * source.normal(size=ROUNDS) for level in levels]
    compared = jobs[design.learnt :]
    base, own = (
        (compared[::2], compared[1::2]) if design.by_turns else (compared[: design.jobs], compared[design.jobs :])
    )
    own = [one + change for one in own]
    sides = [[float(np.median(one)) for one in side] for side in (jobs[: design.learnt], own, base)]
    deviation = between_jobs.pooled([side for side in sides if len(side) > 1])
    spread = Spread(deviation, deviation, jobs=(design.jobs, design.jobs), by_turns=design.by_turns)
    if design.jobs == 1:
        shift, interval = ratios.shift_of(own[0].tolist(), base[0].tolist())
        assert interval is not None
        return spread.widened(shift, interval)
    centre = statistics.fmean(sides[1]) - statistics.fmean(sides[2])
    return spread.widened(centre, (centre, centre))


def _print_recorded(folder: Path) -> None:
    """All pairs of jobs of one file, each against what its other jobs differ by."""
    print()
    table = report.Table(
        ["file", "jobs", "pairs", "called different", "by rounds alone", "resolves"], [30, 4, 5, 16, 15, 8]
    )
    groups: dict[tuple[object, ...], dict[str, Record]] = defaultdict(dict)
    for path in sorted(folder.glob("*/*.json")):
        record = record_files.load(path)
        if between_jobs.is_whole(record):
            groups[between_jobs.setting(record)].setdefault(record.job, record)
    for found in groups.values():
        records = list(found.values())
        if len(records) > 4:
            table.add([records[0].artifact.name, str(len(records)), *_pairs(records)])


def _pairs(records: Sequence[Record]) -> list[str]:
    called = alone = 0
    least = []
    pairs = list(itertools.combinations(records, 2))
    for own, base in pairs:
        known = between_jobs.deviations(one for one in records if one not in (own, base))
        spread = between_jobs.spread(own, base, known)
        assert spread is not None
        called += bool(getattr(ratios.latency_ratio(own, base, spread), "differs", False))
        alone += bool(getattr(ratios.latency_ratio(own, base), "differs", False))
        least.append(spread.least)
    return [
        str(len(pairs)),
        f"{called / len(pairs):.1%}",
        f"{alone / len(pairs):.0%}",
        f"{statistics.median(least):.1%}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
