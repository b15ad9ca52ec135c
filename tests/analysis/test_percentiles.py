"""p90 and p99 where rounds hold few values: of all values, with an interval that respects rounds, or none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgebench import compare
from edgebench.analysis import percentiles, stats
from edgebench.analysis.report import markdown
from edgebench.schema.record import Round
from tests.support.records import make_record, make_rounds

MS = 1_000_000


def of_one_value(*values_ms: float) -> tuple[Round, ...]:
    """Rounds of a file that is slower than a round."""
    return tuple(Round(number * 10**9, 1, (round(ms * MS),), number) for number, ms in enumerate(values_ms))


def test_percentiles_of_a_slow_file_are_those_of_its_values() -> None:
    values_ms = [201.0] * 60 + [150.0] * 25 + [254.0] * 10 + [285.0] * 10
    rounds = of_one_value(*np.random.default_rng(1).permutation(values_ms).tolist())
    p50, p90, p99 = (stats.latency_ns(rounds, q) for q in (0.5, 0.9, 0.99))
    assert p50 and p90 and p99
    assert (p50.value / MS, p90.value / MS, p99.value / MS) == pytest.approx(
        (201, np.quantile(values_ms, 0.9), np.quantile(values_ms, 0.99))
    )
    assert p90.low is not None and p90.high is not None and p90.low <= p90.value <= p90.high


def test_too_few_values_have_no_percentile_and_say_so() -> None:
    record = make_record(rounds=of_one_value(201, 203, 199, 200, 254, 201, 202, 285, 200, 201, 199))
    (row,) = compare.compare([record]).rows
    assert row.p50_ns is not None and row.p90_ns is not None and row.p90_ns.value == 254 * MS
    assert row.p90_ns.low is None
    assert row.p99_ns is None and row.no_quantiles == ("p99 needs 100 values, there are 11",)
    text = markdown.render(compare.compare([record]))
    assert "| 201 ms (200-207) | 254 ms | - |" in text and "p99 needs 100 values, there are 11" in text


def test_a_percentile_is_never_a_copy_of_another_figure() -> None:
    (row,) = compare.compare([make_record(rounds=of_one_value(201, 202, 203))]).rows
    assert row.p50_ns is not None and (row.p90_ns, row.p99_ns) == (None, None)
    assert len(row.no_quantiles) == 2


def test_rounds_that_hold_enough_keep_their_own_percentiles() -> None:
    rounds = make_rounds([1000, 1001, 999, 1000, 1001, 999], values=100)
    assert percentiles.rounds_hold_enough(rounds, 0.99)
    found = stats.latency_ns(rounds, 0.99)
    assert found is not None and found.value == pytest.approx(np.median(stats.round_quantiles_ns(rounds, 0.99)))


def test_the_interval_is_the_same_on_every_run() -> None:
    rounds = made(np.random.default_rng(5), 40, 6, phi=0.5, shift=0.03)
    assert percentiles.pooled(rounds, 0.9) == percentiles.pooled(rounds, 0.9)


def made(source: np.random.Generator, rounds: int, values: int, *, phi: float, shift: float) -> tuple[Round, ...]:
    """Log-normal, an AR(1) process inside each round, and a level of its own for each round."""
    noise = source.normal(size=(rounds, values))
    for step in range(1, values):
        noise[:, step] = phi * noise[:, step - 1] + math.sqrt(1 - phi**2) * noise[:, step]
    logs = 0.03 * noise + shift * source.normal(size=(rounds, 1))
    values_ns = np.rint(1e6 * np.exp(logs)).astype(int)
    return tuple(
        Round(number * 10**9, 1, tuple(row), number, missed=0) for number, row in enumerate(values_ns.tolist())
    )


@pytest.mark.parametrize(
    ("rounds", "values", "phi", "shift"), [(40, 1, 0.0, 0.0), (40, 6, 0.0, 0.0), (40, 6, 0.9, 0.0), (50, 8, 0.5, 0.03)]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(rounds: int, values: int, phi: float, shift: float) -> None:
    source = np.random.default_rng(11)
    truth = 1e6 * math.exp(1.2815516 * math.hypot(0.03, shift))
    given = covered = 0
    for _ in range(200):
        _, interval = percentiles.pooled(made(source, rounds, values, phi=phi, shift=shift), 0.9)
        if interval:
            given += 1
            covered += interval[0] <= truth <= interval[1]
    assert given >= 150
    assert covered / given >= 0.92
