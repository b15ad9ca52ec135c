"""How often two jobs of one identical file are called different: by their rounds alone, and with what jobs differ by.

    python -m benchmarks.between_jobs         # seconds

A job is twelve rounds, 0.3 % apart, around a level of its own. What jobs differ by is learnt from as many other jobs.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np

from benchmarks import report
from edgebench.analysis import ratios
from edgebench.analysis.between_jobs import Deviation, Spread

Levels = Callable[[np.random.Generator, int], np.ndarray]

ROUNDS, NOISE = 12, 0.003
LEARNT_FROM = (3, 5, 11)
LEVELS: dict[str, Levels] = {
    "0.3 %": lambda source, count: 0.003 * source.normal(size=count),
    "1 %": lambda source, count: 0.01 * source.normal(size=count),
    "6 %": lambda source, count: 0.06 * source.normal(size=count),
    "1 %, heavy tails": lambda source, count: 0.01 * source.standard_t(3, size=count),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000)
    count = parser.parse_args().experiments
    print(report.conditions(("numpy",)), f"{count} experiments", sep="; ", end="\n\n")
    learnt = [f"learnt from {jobs} jobs" for jobs in LEARNT_FROM]
    table = report.Table(["levels of jobs", "rounds alone", *learnt, "not known"], [18, 12, 20, 20, 20, 9])
    for name, draw in LEVELS.items():
        source = np.random.default_rng(3)
        called = {jobs: 0 for jobs in (0, None, *LEARNT_FROM)}
        least: dict[int, list[float]] = {jobs: [] for jobs in LEARNT_FROM}
        for _ in range(count):
            made = [
                (level + NOISE * source.normal(size=ROUNDS)).tolist() for level in draw(source, max(LEARNT_FROM) + 2)
            ]
            one, other, *rest = made
            shift, interval = ratios.shift_of(one, other)
            assert interval is not None
            called[0] += not interval[0] <= 0 <= interval[1]
            spreads: dict[int | None, Spread] = {None: Spread(None, None)}
            for jobs in LEARNT_FROM:
                found = Deviation(statistics.stdev(statistics.median(job) for job in rest[:jobs]), jobs - 1)
                spreads[jobs] = Spread(found, found)
                least[jobs].append(spreads[jobs].least)
            for key, spread in spreads.items():
                low, high = spread.widened(shift, interval)
                called[key] += not low <= 0 <= high
        told = [f"{called[jobs] / count:.1%}, from {statistics.median(least[jobs]):.1%} on" for jobs in LEARNT_FROM]
        table.add([name, f"{called[0] / count:.0%}", *told, f"{called[None] / count:.1%}"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
