"""How often the interval of p90 and p99 holds the truth where rounds hold few values: three ways, truth prescribed.

    python -m benchmarks.percentiles          # a minute or two

Log-normal latencies, 3 % wide; inside a round an AR(1) process; each round may have a level of its own, or one round in
ten be slower by 35 %. A way that gives no interval is not wrong: it says that it does not know.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np

from benchmarks import report
from edgebench.analysis import percentiles
from edgebench.schema.record import Round

Interval = tuple[float, float]
Way = Callable[[tuple[Round, ...], float, np.random.Generator], Interval | None]
RESAMPLES = 200


@dataclass(frozen=True)
class Noise:
    phi: float
    level: float
    slow: float = 0.0

    def draw(self, source: np.random.Generator, rounds: int, values: int) -> np.ndarray:
        noise = source.normal(size=(rounds, values))
        for step in range(1, values):
            noise[:, step] = self.phi * noise[:, step - 1] + math.sqrt(1 - self.phi**2) * noise[:, step]
        slow = math.log(1.35) * (source.random((rounds, 1)) < self.slow)
        logs = 0.03 * noise + self.level * source.normal(size=(rounds, 1)) + slow
        return np.rint(1e8 * np.exp(logs)).astype(int)


NOISES = {
    "independent": Noise(0.0, 0.0),
    "alike in a round": Noise(0.9, 0.0),
    "rounds 3 % apart": Noise(0.5, 0.03),
    "rounds 10 % apart": Noise(0.9, 0.1),
    "1 round in 10 slow": Noise(0.0, 0.0, 0.1),
}
SHAPES = ((12, 8, 0.9), (35, 6, 0.9), (40, 1, 0.9), (75, 1, 0.9), (50, 8, 0.9), (50, 40, 0.99))


def resampled(rounds: tuple[Round, ...], q: float, source: np.random.Generator) -> Interval:
    """Whole rounds, drawn again; percentiles of their percentiles."""
    values = np.array([round_.values_ns for round_ in rounds])
    drawn = values[source.integers(0, len(values), (RESAMPLES, len(values)))].reshape(RESAMPLES, -1)
    low, high = np.quantile(np.quantile(drawn, q, axis=1), [0.025, 0.975])
    return float(low), float(high)


def independent(rounds: tuple[Round, ...], q: float, source: np.random.Generator) -> Interval | None:
    """Order statistics, as if no value resembled another."""
    with mock.patch.object(percentiles, "_worth", lambda beyond, counts, q: sum(counts)):
        return percentiles.pooled(rounds, q)[1]


def chosen(rounds: tuple[Round, ...], q: float, source: np.random.Generator) -> Interval | None:
    return percentiles.pooled(rounds, q)[1]


WAYS: dict[str, Way] = {"rounds resampled": resampled, "values independent": independent, "chosen": chosen}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=600)
    asked = parser.parse_args()
    print(report.conditions(("numpy",)), f"{asked.experiments} experiments", sep="; ", end="\n\n")
    table = report.Table(["noise", "rounds", "values", "q", *WAYS], [18, 6, 6, 4, 18, 18, 18])
    for name, noise in NOISES.items():
        for rounds, values, q in SHAPES:
            source = np.random.default_rng(7)
            truth = float(np.quantile(noise.draw(source, 400_000, 1), q))
            held = {way: [0, 0] for way in WAYS}
            for _ in range(asked.experiments):
                drawn = noise.draw(source, rounds, values).tolist()
                made = tuple(Round(number, 1, tuple(row), number, missed=0) for number, row in enumerate(drawn))
                for way, find in WAYS.items():
                    found = find(made, q, source)
                    held[way][0] += found is not None
                    held[way][1] += found is not None and found[0] <= truth <= found[1]
            cells = [_cell(*held[way], asked.experiments) for way in WAYS]
            table.add([name, str(rounds), str(values), f"{q:g}", *cells])
    return 0


def _cell(given: int, covered: int, count: int) -> str:
    """Of those that are given, how many hold the truth; and how many are given."""
    return f"{covered / given:.0%} of {given / count:.0%}" if given else "none given"


if __name__ == "__main__":
    raise SystemExit(main())
