"""Ratios, their intervals and outcomes, on made-up rounds whose answers are known."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import numpy as np
import pytest

from device_agents.python import series
from edgebench import compare
from edgebench.analysis import ratios, resolution, significance, stats
from edgebench.analysis.ratios import Ratio
from edgebench.analysis.report import markdown
from edgebench.schema.record import Round
from tests.support.records import STEADY, make_record, make_rounds

EXPERIMENTS = 300


def plain(number: int, *values_ns: int, block: int = 1) -> Round:
    return Round(number * 10**9, block, values_ns, number)


def test_no_rounds_no_ratio() -> None:
    assert ratios.latency_ratio(make_record(), make_record(rounds=())) is None
    assert ratios.latency_ratio(make_record(rounds=()), make_record()) is None


DRIFT = [1.0, 1.3, 0.9, 1.6, 1.1, 2.0, 0.8, 1.4]  # of the device: hits every artifact of a round alike


def test_the_paired_ratio_is_exact_under_a_common_drift() -> None:
    slow = make_record("slow-onnx-fp32", rounds=make_rounds([300_000 * drift for drift in DRIFT]))
    fast = make_record("fast-onnx-fp32", rounds=make_rounds([100_000 * drift for drift in DRIFT]))
    paired = ratios.latency_ratio(slow, fast)
    assert paired is not None and paired.paired
    assert paired.value == pytest.approx(3, rel=1e-4)
    assert paired.low == pytest.approx(3, rel=1e-4) and paired.high == pytest.approx(3, rel=1e-4)
    assert paired.differs

    unpaired = ratios.latency_ratio(slow, msgspec.structs.replace(fast, job="another"))
    assert unpaired is not None and not unpaired.paired
    assert unpaired.value == pytest.approx(3, rel=1e-4)
    assert unpaired.low is not None and unpaired.high is not None
    assert unpaired.high - unpaired.low > 100 * (paired.high - paired.low)


def test_rounds_are_paired_by_their_numbers() -> None:
    """The faster one lost its first rounds to a failure to arrive: the others still find their partners."""
    slow = make_record("slow-onnx-fp32", rounds=make_rounds([300_000 * drift for drift in DRIFT]))
    fast = make_record("fast-onnx-fp32", rounds=make_rounds([100_000 * drift for drift in DRIFT])[3:])
    ratio = ratios.latency_ratio(slow, fast)
    assert ratio is not None and ratio.paired and ratio.value == pytest.approx(3, rel=1e-4)


@pytest.mark.parametrize("job", ["a", "b"])
def test_five_rounds_are_not_enough_for_the_interval_of_a_ratio(job: str) -> None:
    one = make_record("one-onnx-fp32", rounds=make_rounds([100, 101, 102, 100, 101]), job="a")
    two = make_record("two-onnx-fp32", rounds=make_rounds([200, 201, 203, 200, 201]), job=job)
    ratio = ratios.latency_ratio(two, one)
    assert ratio is not None and ratio.paired is (job == "a")
    assert ratio.value == pytest.approx(2, rel=0.02)
    assert (ratio.low, ratio.high, ratio.differs) == (None, None, None)


def test_the_unpaired_ratio_is_the_hand_computed_shift_of_hodges_and_lehmann() -> None:
    """Log medians 0.0 0.1 ... 0.5 against 1.01 1.02 ... 1.06, each round a single value; small and large by turns."""
    steps = (0, 5, 1, 4, 2, 3)
    left = [plain(number, round(1e9 * math.exp(0.1 * step))) for number, step in enumerate(steps)]
    right = [plain(number, round(1e9 * math.exp(1.01 + 0.01 * step))) for number, step in enumerate(steps)]
    ratio = ratios.latency_ratio(make_record(rounds=left, job="a"), make_record(rounds=right, job="b"))
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
        ratio = ratios.latency_ratio(*records)
        assert ratio is not None and ratio.low is not None and ratio.high is not None
        covered += ratio.low <= 2 <= ratio.high
    assert 0.91 <= covered / EXPERIMENTS <= 0.99


def test_rounds_that_resemble_their_predecessors_widen_the_interval_of_two_jobs() -> None:
    rising = [plain(number, 10_000 + 100 * number) for number in range(10)]
    mixed = [plain(number, 10_000 + 100 * step) for number, step in enumerate((0, 9, 1, 8, 2, 7, 3, 6, 4, 5))]
    base = make_record(rounds=mixed, job="b")
    wide, narrow = (ratios.latency_ratio(make_record(rounds=rounds, job="a"), base) for rounds in (rising, mixed))
    assert wide and narrow and wide.low and narrow.low and wide.high and narrow.high
    assert wide.value == narrow.value
    assert wide.high / wide.low > narrow.high / narrow.low


def test_equal_rounds_of_two_jobs_have_a_ratio_without_width() -> None:
    same = [plain(number, 5000) for number in range(6)]
    ratio = ratios.latency_ratio(make_record(rounds=same, job="a"), make_record(rounds=same, job="b"))
    assert ratio == Ratio(1.0, 1.0, 1.0, False, freedom=10)


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
    there, back = ratios.latency_ratio(one, two), ratios.latency_ratio(two, one)
    assert there and back and there.low and back.high
    assert there.value * back.value == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)


# ------------------------------------------------------------------ outcomes


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (1.01, 1.2, "different"),
        (0.8, 0.99, "different"),
        (1.001, 1.002, "different"),
        (0.98, 1.02, "equivalent"),
        (1.0, 1.0, "equivalent"),
        (1.0, 1.03, "equivalent"),
        (0.94, 1.60, "not resolved"),
        (0.999, 1.031, "not resolved"),
        (0.96, 1.001, "not resolved"),
        (None, None, "not resolved"),
    ],
)
def test_a_ratio_has_one_of_three_outcomes(low: float | None, high: float | None, outcome: str) -> None:
    assert Ratio(1.0, low, high, paired=True).outcome == outcome


# ------------------------------------------------------------------ what was not resolved


def test_a_wide_interval_is_not_resolved_and_says_what_it_would_take() -> None:
    """As of a file of the report of 2026-11-30: a ratio of 1.28 (0.94 to 1.60) was once called the same."""
    ratio = Ratio(1.28, 0.94, 1.60, paired=True)
    assert ratio.outcome == "not resolved"
    record = make_record(rounds=make_rounds([1e8] * 8))
    found = resolution.of(ratio, record, record)
    assert found is not None and found.jobs is None and found.longer is not None and found.seconds is not None
    assert found.least == pytest.approx(1.28 / 0.94 - 1)
    assert found.longer == pytest.approx((math.log(1.28 / 0.94) / math.log(1.03)) ** 2)
    assert found.seconds == pytest.approx(found.longer * 2 * 8 * 40 * 0.1, rel=1e-3)
    assert resolution.of(Ratio(1.28, 1.2, 1.3, paired=True), record, record) is None


def test_a_margin_is_the_users() -> None:
    ratio = Ratio(1.01, 0.97, 1.05, paired=True)
    assert (ratio.outcome, dataclasses.replace(ratio, margin=0.06).outcome) == ("not resolved", "equivalent")


def test_a_median_of_paired_ratios_that_is_not_the_ratio_of_medians_is_explained() -> None:
    base = [100.0, 100.0, 100.0, 100.0, 200.0, 200.0, 200.0, 200.0, 200.0]
    factors = [1.5, 1.5, 1.5, 1.5, 0.9, 0.9, 1.1, 1.1, 1.1]
    one = make_record("one-onnx-fp32", rounds=make_rounds([1e6 * value for value in base]))
    two = make_record("two-onnx-fp32", rounds=make_rounds([1e6 * v * f for v, f in zip(base, factors, strict=True)]))
    ratio = ratios.latency_ratio(two, one)
    assert ratio is not None and ratio.of_medians is not None
    assert (ratio.value, ratio.of_medians) == pytest.approx((1.1, 0.9), rel=1e-2)
    assert "is the median of the rounds' own ratios" in markdown.render(compare.compare([one, two]))


def test_students_probabilities_are_those_of_the_tables() -> None:
    for freedom in (1, 2, 5, 10, 30):
        assert significance.two_sided_p(series.t95(freedom), freedom) == pytest.approx(0.05, abs=5e-5)
    assert significance.two_sided_p(0, 5) == pytest.approx(1) and significance.two_sided_p(math.inf, 5) == 0


def test_holm_adjusts_step_by_step() -> None:
    """By hand: 0.01 x 4, 0.02 x 3, 0.03 x 2 (not less than before), 0.5 x 1."""
    assert significance.holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])


def test_mcnemar_is_the_binomial_of_the_flips() -> None:
    assert stats.mcnemar_p(0, 0) == 1 and stats.mcnemar_p(5, 5) == 1
    assert stats.mcnemar_p(1, 5) == pytest.approx(14 / 64)
