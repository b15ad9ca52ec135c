"""How often are edgebench's own claims wrong? Tables of error rates, where the truth is prescribed.

    the statistics alone     made-up round medians, the default plan's stop rule      (benchmarks/rounds.py)
    the whole agent          jobs of two identical files on a simulated device        (edgebench/device/simulated.py)
    a real device            the same with a real file: edgebench selftest --target NAME --runs 15

A/A: two identical files are compared; whoever calls a difference is wrong. Coverage: how often the 95 % interval of the
median holds the prescribed median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report, rounds
from benchmarks.rounds import Noise
from edgebench import deploy
from edgebench.analysis import ratios, stats, verdict
from edgebench.device import simulated
from edgebench.schema import plan, targets
from edgebench.schema.record import Record

COVERAGE = (0.93, 0.97)
CALLED = 0.05
DEFAULT = plan.named("default")
NOTHING = rounds.independent(0.0)
# What the artifact's rounds do of their own, and what the device does to both. The first seven have to meet the gates;
# rounds that resemble one another more can only be measured for longer.
NOISES: dict[str, tuple[Noise, Noise]] = {
    "independent, 0.3 %": (rounds.independent(0.003), NOTHING),
    "independent, 2 %": (rounds.independent(0.02), NOTHING),
    "heavy tails, 1 %": (rounds.heavy_tailed(0.01), NOTHING),
    "skewed, 0.5 %": (rounds.skewed(0.005), NOTHING),
    "5 % of rounds slower by 35 %": (rounds.with_slow_rounds(0.003, 0.05, 1.35), NOTHING),
    "each process its own, 0.5 %": (rounds.per_process(0.002, 0.005, DEFAULT), NOTHING),
    "autocorrelated 0.3, 0.3 %": (rounds.autocorrelated(0.003, 0.3), NOTHING),
    "autocorrelated 0.5, 0.3 %": (rounds.autocorrelated(0.003, 0.5), NOTHING),
    "autocorrelated 0.3, 2 %": (rounds.autocorrelated(0.02, 0.3), NOTHING),
    "device wanders, 1 %": (rounds.independent(0.003), rounds.autocorrelated(0.01, 0.9)),
}
GATED = tuple(NOISES)[:7]


def statistics_rows(experiments: int) -> Iterator[list[str]]:
    for name, (own, shared) in NOISES.items():
        found = rounds.experiment(own, shared, DEFAULT, experiments)
        met = COVERAGE[0] <= found.covered <= COVERAGE[1] and found.called_paired <= CALLED
        yield [
            name,
            f"{found.rounds:.0f}",
            f"{found.precise:.0%}",
            f"{found.covered:.1%}",
            f"{found.called_paired:.1%}",
            f"{found.called_unpaired:.1%}",
            f"{found.detectable:.2%}",
            _met(met) if name in GATED else "",
        ]


@dataclass(frozen=True)
class Pair:
    """What one job said of two identical files."""

    first: Record
    twin: Record

    @property
    def flagged(self) -> bool:
        return any(verdict.judge(one).level != "valid" for one in (self.first, self.twin))


def jobs(board: str, count: int, folder: Path) -> list[Pair]:
    """As many jobs on a board of its own seed each, through deploy and the real agent."""
    target = targets.load("simulated", targets.find_file(None))
    pairs = []
    for seed in range(count):
        network = simulated.network(board, seed=seed)
        bundle = simulated.write_bundle(folder / f"{board}-{seed}", {"net": network, "twin": network})
        pairs.append(Pair(*deploy.deploy(target, deploy.artifacts_at([bundle]), DEFAULT, folder / "results")))
    return pairs


def clean_rows(pairs: Sequence[Pair]) -> Iterator[list[str]]:
    truth_ns = simulated.NET.latency_ns
    latencies = [stats.latency_ns(one.rounds, 0.5) for pair in pairs for one in (pair.first, pair.twin)]
    covered = _share(one is not None and _holds(one.low, one.high, truth_ns) for one in latencies)
    in_one_job = _share(_called(pair.first, pair.twin) for pair in pairs)
    across = _share(_called(one.first, next_.first) for one, next_ in zip(pairs, pairs[1:], strict=False))
    flagged = sum(pair.flagged for pair in pairs)
    yield [
        f"coverage, {len(latencies)} records",
        f"{covered:.1%}",
        "93 to 97 %",
        _met(COVERAGE[0] <= covered <= COVERAGE[1]),
    ]
    yield [f"A/A called, in one job, {len(pairs)}", f"{in_one_job:.1%}", "<= 5 %", _met(in_one_job <= CALLED)]
    yield [f"A/A called, across jobs, {len(pairs) - 1}", f"{across:.1%}", "none", ""]
    bias = statistics.median(one.value / truth_ns - 1 for one in latencies if one is not None)
    yield [f"p50 against the truth, {len(latencies)} records", f"{bias:+.3%}", "none", ""]
    yield [f"clean jobs flagged, of {len(pairs)}", str(flagged), "0", _met(flagged == 0)]


def caught_row(board: str, pairs: Sequence[Pair]) -> list[str]:
    caught = sum(pair.flagged for pair in pairs)
    return [f"{board} jobs flagged, of {len(pairs)}", str(caught), "all", _met(caught == len(pairs))]


def _called(one: Record, other: Record) -> bool:
    ratio = ratios.latency_ratio(one, other)
    return ratio is not None and bool(ratio.differs)


def _holds(low: float | None, high: float | None, truth: float) -> bool:
    return low is not None and high is not None and low <= truth <= high


def _share(found: Iterable[bool]) -> float:
    counted = list(found)
    return sum(counted) / len(counted)


def _met(met: bool) -> str:
    return "yes" if met else "NO"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000, help="for each noise, on the statistics alone")
    parser.add_argument("--runs", type=int, default=200, help="jobs on a clean simulated device")
    parser.add_argument("--flawed-runs", type=int, default=25, help="jobs on each of the others")
    arguments = parser.parse_args()
    print(f"{report.conditions()}\n")
    rows = list(statistics_rows(arguments.experiments)) if arguments.experiments else []
    if rows:
        header = ("noise of a round", "rounds", "precise", "coverage", "A/A paired", "unpaired", "detects 80 %", "met")
        report.print_table(header, rows)
        print(flush=True)
    if arguments.runs:
        with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
            os.environ["EDGEBENCH_CACHE"] = f"{folder}/cache"
            found = list(clean_rows(jobs("clean", arguments.runs, Path(folder))))
            for board in simulated.BOARDS:
                if board != "clean":
                    found.append(caught_row(board, jobs(board, arguments.flawed_runs, Path(folder))))
        report.print_table(("through the agent", "measured", "gate", "met"), found)
        rows += found
    return 0 if all(row[-1] != "NO" for row in rows) else 3


if __name__ == "__main__":
    sys.exit(main())
