"""Quantiles, intervals and ratios on made-up rounds whose answers are known."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from edgebench.analysis import stats, warm_values
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Round
from tests.support.records import PLAN, make_rounds


def plain(number: int, *values_ns: int, block: int = 1) -> Round:
    return Round(number * 10**9, block, values_ns, number)


# ------------------------------------------------------------------ quantiles and their intervals


def test_the_median_and_its_interval_are_those_of_the_rounds_medians() -> None:
    rounds = tuple(plain(number, *(10 * number + step for step in range(1, 2 * number + 4))) for number in range(6))
    medians = [2, 13, 24, 35, 46, 57]
    assert stats.round_quantiles_ns(rounds, 0.5) == medians
    median = stats.latency_ns(rounds, 0.5)
    assert median == Estimate(29.5, 2, 57)
    assert median.half_width == 27.5 and median.reach == pytest.approx(27.5 / 29.5)


def test_a_round_that_was_slowed_as_a_whole_moves_neither_value_nor_interval() -> None:
    steady = random.Random(1).sample(range(1000, 1029), 29)
    clean, hit = (
        stats.latency_ns(make_rounds([*steady, 1029]), 0.5),
        stats.latency_ns(make_rounds([*steady, 1400]), 0.5),
    )
    assert clean == hit and clean is not None and clean.reach is not None and clean.reach < 0.01


def test_quantiles_of_1_to_101_are_where_they_are_by_definition() -> None:
    order = random.Random(1).sample(range(1, 102), 101)
    order.remove(50)
    rounds = [plain(number, 50, *order) for number in range(3)]  # 50 first: no cold start
    for q, expected in ((0.0, 1), (0.5, 51), (0.9, 91), (0.99, 100)):
        found = stats.latency_ns(rounds, q)
        assert found is not None and found.value == pytest.approx(expected)


def test_values_of_a_block_are_divided_by_it() -> None:
    single, blocks = make_rounds([500, 505, 495], block=1), make_rounds([500, 505, 495], block=40)
    assert blocks[0].values_ns[0] > 30 * single[0].values_ns[0]
    one, forty = stats.latency_ns(single, 0.5), stats.latency_ns(blocks, 0.5)
    assert one and forty
    assert forty.value == pytest.approx(one.value, rel=2e-3)
    assert stats.throughput_hz(blocks) == pytest.approx(1e9 / 500, rel=2e-3)


def test_the_cold_start_of_a_round_is_left_out() -> None:
    steady = make_rounds([1000, 1000, 1000])
    cold = [msgspec.structs.replace(one, values_ns=(9000, 5000, *one.values_ns)) for one in steady]
    assert warm_values.of(cold[:1]).values_ns[0].tolist() == [float(value) for value in steady[0].values_ns]
    assert stats.latency_ns(cold, 0.99) == stats.latency_ns(steady, 0.99)
    assert stats.throughput_hz(cold) == stats.throughput_hz(steady)


def test_throughput_is_inferences_per_busy_second() -> None:
    # 1 ms and 3 ms alternately: 500 per second; the mean counts, not the median
    assert stats.throughput_hz([plain(0, *[1_000_000, 3_000_000] * 5)]) == pytest.approx(500)


def test_no_rounds_no_numbers() -> None:
    assert stats.latency_ns((), 0.5) is None
    assert stats.throughput_hz(()) is None
    assert not stats.is_enough((), PLAN)


def test_two_rounds_have_a_value_but_no_interval() -> None:
    found = stats.latency_ns(make_rounds([100, 101]), 0.5)
    assert found is not None and found.half_width is None and found.reach is None
    assert not stats.is_enough(make_rounds([100, 100]), PLAN)


def test_a_quantile_beyond_the_values_of_a_round_has_no_interval() -> None:
    """40 values a round: p90 has four beyond it, p99 not even one."""
    rounds = make_rounds([1000, 1001, 999, 1000, 1001, 999], values=40)
    p90, p99 = stats.latency_ns(rounds, 0.9), stats.latency_ns(rounds, 0.99)
    assert p90 is not None and p90.half_width is not None
    assert p99 is not None and p99.half_width is None
    many = stats.latency_ns(make_rounds([1000, 1001, 999, 1000, 1001, 999], values=100), 0.99)
    assert many is not None and many.half_width is not None


def test_ten_values_are_enough_for_p90() -> None:
    found = stats.latency_ns(make_rounds([1000, 1001, 999, 1000, 1001, 999], values=10), 0.9)
    assert found is not None and found.half_width is not None


@pytest.mark.parametrize(("spread", "precise"), [(0.001, True), (0.2, False)])
def test_precise_is_what_the_plan_asks_for(spread: float, precise: bool) -> None:
    rounds = make_rounds([1000 * (1 + spread * offset) for offset in (-1, 1, 0, -1, 1, 0)])
    assert stats.is_enough(rounds, PLAN) is precise


def test_too_few_rounds_for_the_plan_are_not_precise_however_equal() -> None:
    """A slow model: its budget ends after three rounds of one value, and the agent's own rule was not met."""
    rounds = [plain(number, 10**9) for number in range(3)]
    assert PLAN.rounds_min > 3
    assert not stats.is_enough(rounds, PLAN)


# ------------------------------------------------------------------ coverage

EXPERIMENTS = 300
ROUNDS, VALUES, GAP = 12, 100, 100
TRUE_MEDIAN_NS = 1e5


def autocorrelated_experiments(phi: float = 0.9) -> list[tuple[Round, ...]]:
    """Log-normal latencies, an AR(1) process in the logarithm; other artifacts run in the gaps between rounds."""
    source = np.random.default_rng(407)
    noise = np.empty((ROUNDS * (VALUES + GAP), EXPERIMENTS))
    noise[0] = source.normal(size=EXPERIMENTS)
    for step in range(1, len(noise)):
        noise[step] = phi * noise[step - 1] + math.sqrt(1 - phi**2) * source.normal(size=EXPERIMENTS)
    values_ns = np.rint(TRUE_MEDIAN_NS * np.exp(0.05 * noise)).astype(int).T.reshape(EXPERIMENTS, ROUNDS, -1)
    return [
        tuple(plain(number, *row[:VALUES].tolist()) for number, row in enumerate(experiment))
        for experiment in values_ns
    ]


def test_the_interval_of_the_median_covers_the_truth_as_often_as_it_says() -> None:
    """95 % nominal. 1.96 standard errors of independent values, the textbook's, cover it in less than half."""
    covered = naive = 0
    for rounds in autocorrelated_experiments():
        median = stats.latency_ns(rounds, 0.5)
        assert median is not None and median.half_width is not None
        assert median.low is not None and median.high is not None
        covered += median.low <= TRUE_MEDIAN_NS <= median.high
        pooled = np.concatenate([round_.values_ns for round_ in rounds])
        standard_error = math.sqrt(math.pi / 2) * pooled.std() / math.sqrt(len(pooled))
        naive += abs(float(np.median(pooled)) - TRUE_MEDIAN_NS) <= 1.96 * standard_error
    assert 0.90 <= covered / EXPERIMENTS <= 0.99
    assert naive / EXPERIMENTS < 0.60


# ------------------------------------------------------------------ proportions


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_is_the_published_one(successes: int, count: int, low: float, high: float) -> None:
    assert stats.wilson_interval(successes, count) == pytest.approx((low, high), abs=5e-5)


def test_the_wilson_interval_is_symmetric_and_stays_inside() -> None:
    low, high = stats.wilson_interval(1800, 2000)
    assert stats.wilson_interval(200, 2000) == pytest.approx((1 - high, 1 - low))
    assert stats.wilson_interval(5, 5)[1] <= 1 + 1e-12
    assert stats.wilson_interval(0, 5)[0] >= -1e-12
