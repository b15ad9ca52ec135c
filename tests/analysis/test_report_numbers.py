"""Times, sizes, joules and ratios as a report shows them."""

from __future__ import annotations

import dataclasses

import pytest

from edgebench.analysis import formatting
from edgebench.analysis.ratios import Ratio
from edgebench.schema.estimate import Estimate
from tests.support.comparisons import COMPARISON


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0.5, "0.500 ns"),
        (999, "999 ns"),
        (1000, "1.00 µs"),
        (50_300, "50.3 µs"),
        (1.5e6, "1.50 ms"),
        (12.34e9, "12.3 s"),
    ],
)
def test_times_have_three_digits_and_a_unit(ns: float, said: str) -> None:
    assert formatting.time(ns) == said


@pytest.mark.parametrize(
    ("count", "said"), [(None, "-"), (0, "0 B"), (999, "999 B"), (110_000, "110 kB"), (4_000_000_000, "4.00 GB")]
)
def test_sizes_are_decimal(count: int | None, said: str) -> None:
    assert formatting.size(count) == said


@pytest.mark.parametrize(("j", "said"), [(0.03, "30.0 mJ"), (2.5, "2.50 J"), (4.2e-6, "4.20 µJ"), (-0.001, "-1.00 mJ")])
def test_joules_keep_their_sign(j: float, said: str) -> None:
    assert formatting.joules(j) == said


def ratio_cell(value: float, low: float | None, high: float | None) -> str:
    row = COMPARISON.rows[1]
    return formatting.ratio(dataclasses.replace(row, ratio=Ratio(value, low, high, True)))


def test_a_ratio_is_a_difference_the_same_or_not_resolved() -> None:
    assert ratio_cell(0.41, 0.40, 0.42) == "0.41x (0.40-0.42)"
    assert ratio_cell(290.2, 250.9, 331.7) == "290x (251-332)"
    assert ratio_cell(18.0, 12.0, 27.0) == "18.0x (12.0-27.0)"
    assert ratio_cell(18.0, 17.96, 18.04) == "18.00x (17.96-18.04)"
    assert ratio_cell(1.0, 0.98, 1.0204) == "same (0.98-1.02)"
    assert ratio_cell(1.28, 0.94, 1.60) == "not resolved: -6 % to +60 %"
    assert ratio_cell(5.0, 0.4, 1e9) == "not resolved: -60 % to over +900 %"
    assert ratio_cell(1.01, 0.996, 1.036) == "not resolved: -0.4 % to +4 %"
    assert "no interval" in ratio_cell(2.0, None, None)


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (56.8, 38.4, 59.5, "56.8 µs (38.4-59.5)"),
        (36.27, 36.17, 36.35, "36.27 µs (36.17-36.35)"),
        (900, 898.2, 901.8, "900 µs (898-902)"),
        (9.0, 9.0, 9.0, "9.00 µs (9.00-9.00)"),
        (9.0, 3.0, 1234.0, "9.00 µs (3.00-1,234.00)"),
    ],
)
def test_an_interval_is_shown_with_both_ends(value: float, low: float, high: float, said: str) -> None:
    assert formatting.estimate(Estimate(1e3 * value, 1e3 * low, 1e3 * high)) == said


def test_a_small_ratio_is_not_rounded_to_nothing() -> None:
    assert ratio_cell(0.0041, 0.0040, 0.0042) == "0.0041x (0.0040-0.0042)"


def test_a_small_difference_is_not_rounded_to_none() -> None:
    assert "1.00x" not in ratio_cell(1.003, 1.002, 1.004)
