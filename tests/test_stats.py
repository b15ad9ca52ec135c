"""Quantiles, intervals and ratios on made-up rounds whose answers are known."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from edgebench import stats
from edgebench.record import Round
from edgebench.stats import Estimate, Ratio
from tests.records import PLAN, STEADY, make_record, make_rounds


def plain(number: int, *values_ns: int, block: int = 1) -> Round:
    return Round(number * 10**9, block, values_ns, number)


# ------------------------------------------------------------------ quantiles and their intervals


def test_the_median_and_its_interval_are_those_of_the_rounds_medians() -> None:
    rounds = tuple(plain(number, *(10 * number + step for step in range(1, 2 * number + 4))) for number in range(6))
    medians = [2, 13, 24, 35, 46, 57]
    assert stats.round_quantiles_ns(rounds, 0.5) == medians
    median = stats.latency_ns(rounds, 0.5)
    assert median == Estimate(29.5, 2, 57)
    assert median.half_width == 27.5 and median.relative == pytest.approx(27.5 / 29.5)


def test_a_round_that_was_slowed_as_a_whole_moves_neither_value_nor_interval() -> None:
    steady = random.Random(1).sample(range(1000, 1029), 29)
    clean, hit = (
        stats.latency_ns(make_rounds([*steady, 1029]), 0.5),
        stats.latency_ns(make_rounds([*steady, 1400]), 0.5),
    )
    assert clean == hit and clean is not None and clean.relative is not None and clean.relative < 0.01


def test_quantiles_of_1_to_101_are_where_they_are_by_definition() -> None:
    order = random.Random(1).sample(range(1, 102), 101)
    order.remove(50)
    rounds = [plain(number, 50, *order) for number in range(3)]  # 50 first: no cold start
    for q, expected in ((0.0, 1), (0.5, 51), (0.9, 91), (0.99, 100), (1.0, 101)):
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
    assert stats.settled_ns(cold[0]).tolist() == [float(value) for value in steady[0].values_ns]
    assert stats.latency_ns(cold, 0.99) == stats.latency_ns(steady, 0.99)
    assert stats.throughput_hz(cold) == stats.throughput_hz(steady)


def test_throughput_is_inferences_per_busy_second() -> None:
    # 1 ms and 3 ms alternately: 500 per second; the mean counts, not the median
    assert stats.throughput_hz([plain(0, *[1_000_000, 3_000_000] * 5)]) == pytest.approx(500)


def test_no_rounds_no_numbers() -> None:
    assert stats.latency_ns((), 0.5) is None
    assert stats.throughput_hz(()) is None
    assert not stats.is_enough((), PLAN)
    assert stats.latency_ratio(make_record(), make_record(rounds=())) is None
    assert stats.latency_ratio(make_record(rounds=()), make_record()) is None


def test_two_rounds_have_a_value_but_no_interval() -> None:
    found = stats.latency_ns(make_rounds([100, 101]), 0.5)
    assert found is not None and found.half_width is None and found.relative is None
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


# ------------------------------------------------------------------ ratios

DRIFT = [1.0, 1.3, 0.9, 1.6, 1.1, 2.0, 0.8, 1.4]  # of the device: hits every artifact of a round alike


def test_the_paired_ratio_is_exact_under_a_common_drift() -> None:
    slow = make_record("slow-onnx-fp32", rounds=make_rounds([300_000 * drift for drift in DRIFT]))
    fast = make_record("fast-onnx-fp32", rounds=make_rounds([100_000 * drift for drift in DRIFT]))
    paired = stats.latency_ratio(slow, fast)
    assert paired is not None and paired.paired
    assert paired.value == pytest.approx(3, rel=1e-4)
    assert paired.low == pytest.approx(3, rel=1e-4) and paired.high == pytest.approx(3, rel=1e-4)
    assert paired.differs

    unpaired = stats.latency_ratio(slow, msgspec.structs.replace(fast, job="another"))
    assert unpaired is not None and not unpaired.paired
    assert unpaired.value == pytest.approx(3, rel=1e-4)
    assert unpaired.low is not None and unpaired.high is not None
    assert unpaired.high - unpaired.low > 100 * (paired.high - paired.low)


def test_rounds_are_paired_by_their_numbers() -> None:
    """The faster one lost its first rounds to a failure to arrive: the others still find their partners."""
    slow = make_record("slow-onnx-fp32", rounds=make_rounds([300_000 * drift for drift in DRIFT]))
    fast = make_record("fast-onnx-fp32", rounds=make_rounds([100_000 * drift for drift in DRIFT])[3:])
    ratio = stats.latency_ratio(slow, fast)
    assert ratio is not None and ratio.paired and ratio.value == pytest.approx(3, rel=1e-4)


@pytest.mark.parametrize("job", ["a", "b"])
def test_five_rounds_are_not_enough_for_the_interval_of_a_ratio(job: str) -> None:
    one = make_record("one-onnx-fp32", rounds=make_rounds([100, 101, 102, 100, 101]), job="a")
    two = make_record("two-onnx-fp32", rounds=make_rounds([200, 201, 203, 200, 201]), job=job)
    ratio = stats.latency_ratio(two, one)
    assert ratio is not None and ratio.paired is (job == "a")
    assert ratio.value == pytest.approx(2, rel=0.02)
    assert (ratio.low, ratio.high, ratio.differs) == (None, None, None)


def test_the_unpaired_ratio_is_the_hand_computed_shift_of_hodges_and_lehmann() -> None:
    """Log medians 0.0 0.1 ... 0.5 against 1.01 1.02 ... 1.06, each round a single value; small and large by turns."""
    steps = (0, 5, 1, 4, 2, 3)
    left = [plain(number, round(1e9 * math.exp(0.1 * step))) for number, step in enumerate(steps)]
    right = [plain(number, round(1e9 * math.exp(1.01 + 0.01 * step))) for number, step in enumerate(steps)]
    ratio = stats.latency_ratio(make_record(rounds=left, job="a"), make_record(rounds=right, job="b"))
    # The 36 differences, in six groups of six around 0.1 n - 1.035; their median lies between groups 3 and 4:
    # (0.2 - 1.01 + 0.3 - 1.06) / 2. k = floor(18 - 1.96 sqrt(36 * 13 / 12)) = floor(5.76) = 5.
    assert ratio is not None and not ratio.paired
    assert math.log(ratio.value) == pytest.approx(-0.785, abs=1e-6)
    assert ratio.low is not None and math.log(ratio.low) == pytest.approx(0.0 - 1.02, abs=1e-6)
    assert ratio.high is not None and math.log(ratio.high) == pytest.approx(0.5 - 1.05, abs=1e-6)


def test_the_unpaired_interval_covers_the_truth_as_often_as_it_says() -> None:
    source = np.random.default_rng(7)
    covered = 0
    for _ in range(EXPERIMENTS):
        own, base = (source.standard_t(3, size=10) * 0.02 + level for level in (math.log(2), 0.0))
        records = [
            make_record(rounds=[plain(n, round(1e6 * math.exp(log))) for n, log in enumerate(logs)], job=job)
            for job, logs in (("a", own), ("b", base))
        ]
        ratio = stats.latency_ratio(*records)
        assert ratio is not None and ratio.low is not None and ratio.high is not None
        covered += ratio.low <= 2 <= ratio.high
    assert 0.91 <= covered / EXPERIMENTS <= 0.99


def test_rounds_that_resemble_their_predecessors_widen_the_interval_of_two_jobs() -> None:
    rising = [plain(number, 10_000 + 100 * number) for number in range(10)]
    mixed = [plain(number, 10_000 + 100 * step) for number, step in enumerate((0, 9, 1, 8, 2, 7, 3, 6, 4, 5))]
    base = make_record(rounds=mixed, job="b")
    wide, narrow = (stats.latency_ratio(make_record(rounds=rounds, job="a"), base) for rounds in (rising, mixed))
    assert wide and narrow and wide.low and narrow.low and wide.high and narrow.high
    assert wide.value == narrow.value
    assert wide.high / wide.low > narrow.high / narrow.low


def test_equal_rounds_of_two_jobs_have_a_ratio_without_width() -> None:
    same = [plain(number, 5000) for number in range(6)]
    ratio = stats.latency_ratio(make_record(rounds=same, job="a"), make_record(rounds=same, job="b"))
    assert ratio == Ratio(1.0, 1.0, 1.0, False)


@pytest.mark.parametrize(
    ("low", "high", "differs"),
    [(1.01, 1.2, True), (0.8, 0.99, True), (0.99, 1.01, False), (1.0, 1.2, False), (None, None, None)],
)
def test_a_ratio_differs_if_its_interval_leaves_one_out(
    low: float | None, high: float | None, differs: bool | None
) -> None:
    assert Ratio(1.0, low, high, paired=True).differs is differs


def test_turning_a_ratio_round_inverts_it() -> None:
    one = make_record(rounds=make_rounds([100_000 * factor for factor in STEADY]))
    two = make_record(rounds=make_rounds([170_000 * factor for factor in reversed(STEADY)]))
    there, back = stats.latency_ratio(one, two), stats.latency_ratio(two, one)
    assert there and back and there.low and back.high
    assert there.value * back.value == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)


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
