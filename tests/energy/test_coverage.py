"""95 % of what several causes add up to, against quantiles that are known in closed form or from drawing many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from device_agents.python import series
from edgebench.energy import coverage


def test_one_part_alone_has_its_own_quantile() -> None:
    assert coverage.half_width(2.0) == pytest.approx(2 * 1.96, rel=1e-4)
    assert coverage.half_width(0.0, (3.0,)) == pytest.approx(0.95 * 3, rel=1e-3)
    assert coverage.half_width(0.5, (), freedom=4) == pytest.approx(0.5 * 2.776, rel=1e-3)
    assert coverage.half_width(0.0) == 0.0


def test_two_equal_limits_are_a_triangle_and_unequal_ones_a_trapezoid() -> None:
    """The tails of a triangle of half width 2 a hold (2a - x)^2 / (4 a^2); of a trapezoid (a + b - x)^2 / (4 a b)."""
    assert coverage.half_width(0.0, (1.0, 1.0)) == pytest.approx(2 * (1 - math.sqrt(0.05)), rel=1e-3)
    assert coverage.half_width(0.0, (1.0, 0.4)) == pytest.approx(1.4 - math.sqrt(0.05 * 4 * 0.4), rel=1e-3)


def test_a_small_part_leaves_the_large_one_as_it_is() -> None:
    assert coverage.half_width(1.0, (1e-6,)) == pytest.approx(1.96, rel=1e-3)
    assert coverage.half_width(1e-6, (1.0,)) == pytest.approx(0.95, rel=2e-3)
    assert coverage.half_width(1.0, (1e-6,), freedom=1) == pytest.approx(12.706, rel=2e-3)


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 30, None])
@pytest.mark.parametrize("limits", [(1.0,), (0.3, 0.2), (5.0, 1.0, 1.0)])
def test_sums_hold_what_drawing_them_says(freedom: int | None, limits: tuple[float, ...]) -> None:
    rng = np.random.default_rng(1)
    count = 400_000
    drawn = 0.7 * (rng.standard_normal(count) if freedom is None else rng.standard_t(freedom, count))
    for limit in limits:
        drawn += rng.uniform(-limit, limit, count)
    held = np.mean(np.abs(drawn) <= coverage.half_width(0.7, limits, freedom))
    assert held == pytest.approx(0.95, abs=0.0015)


def test_it_scales_and_is_never_wider_than_its_parts_together() -> None:
    one = coverage.half_width(0.3, (0.5, 0.2), 4)
    assert coverage.half_width(300.0, (500.0, 200.0), 4) == pytest.approx(1000 * one, rel=1e-9)
    assert one < series.t95(4) * 0.3 + 0.95 * 0.7
    assert coverage.of_u(0.0, 1.0) == pytest.approx(0.95 * math.sqrt(3), rel=1e-3)
