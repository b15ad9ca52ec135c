"""The statistics that the agent decides by, against tables, hand-computed examples and seeded simulations."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agents.python import series

# On a busy machine: no deadlines, and the same examples on every run.
PATIENT = settings(deadline=None, derandomize=True)

# Two-sided 95 % points, from the t table of NIST's e-Handbook, section 1.3.6.7.2 (column 0.975).
T_TABLE = {1: 12.706, 2: 4.303, 5: 2.571, 10: 2.228, 20: 2.086, 30: 2.042}
# The same, to the fourth decimal (scipy.stats.t.ppf(0.975, v), scipy 1.17).
T_31_TO_38 = {31: 2.0395, 32: 2.0369, 35: 2.0301, 38: 2.0244}
T_BEYOND_38 = {40: 2.0211, 50: 2.0086, 60: 2.0003, 80: 1.9901, 100: 1.9840, 1000: 1.9623}


@pytest.mark.parametrize(("freedom", "expected"), T_TABLE.items())
def test_t95_is_the_tables_value_up_to_30(freedom: int, expected: float) -> None:
    assert series.t95(freedom) == expected


@pytest.mark.parametrize(("freedom", "expected"), [*T_31_TO_38.items(), *T_BEYOND_38.items()])
def test_t95_is_within_0_0005_beyond_30(freedom: int, expected: float) -> None:
    assert series.t95(freedom) == pytest.approx(expected, abs=0.0005)


def test_t95_has_no_jump_where_its_table_ends() -> None:
    assert series.t95(30) - series.t95(31) < 1.5 * (series.t95(29) - series.t95(30))


def test_t95_falls_to_the_normal_point() -> None:
    points = [series.t95(freedom) for freedom in range(1, 2000)]
    assert all(later < earlier for earlier, later in zip(points, points[1:], strict=False))
    assert points[-1] == pytest.approx(1.960, abs=0.002)


@pytest.mark.parametrize(
    ("count", "k"), [(6, 1), (7, 1), (8, 1), (9, 2), (10, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8), (50, 18)]
)
def test_the_interval_of_a_median_is_the_tables_order_statistics(count: int, k: int) -> None:
    """Between the k-th of the sign test's two-sided 5 % table, which covers too much, and the next."""
    interval = series.median_interval(alternating(count))
    assert interval is not None
    assert k <= interval[0] < k + 1
    assert interval[0] + interval[1] == pytest.approx(count + 1)


def alternating(count: int) -> list[int]:
    """1 to `count`, small and large by turns: no value resembles its predecessor."""
    return [value for pair in zip(range(1, count + 1), range(count, 0, -1), strict=True) for value in pair][:count]


@pytest.mark.parametrize(("count", "low"), [(6, 1.3571), (10, 2.6577), (20, 6.2352)])
def test_the_interval_of_a_median_is_hettmansperger_and_sheathers(count: int, low: float) -> None:
    """Of 10: ranks 2 and 3 cover 0.97852 and 0.89063, I = 0.02852 / 0.08789 = 0.3244, and 2 + 8 I / (2 + 6 I)."""
    interval = series.median_interval(alternating(count))
    assert interval is not None and interval[0] == pytest.approx(low, abs=1e-3)


@pytest.mark.parametrize("count", range(6))
def test_fewer_than_six_rounds_have_no_interval_of_their_median(count: int) -> None:
    assert series.median_interval([1.0] * count) is None


@pytest.mark.parametrize(("values", "expected"), [([3], 3), ([3, 1], 2), ([5, 1, 3], 3), ([4, 1, 3, 2], 2.5)])
def test_median(values: list[int], expected: float) -> None:
    assert series.median(values) == expected


def test_mean_half_width_is_t_times_the_standard_error() -> None:
    # stdev of 1 2 3 4 5 is sqrt(2.5); t(4) = 2.776
    assert series.mean_half_width([1, 2, 3, 4, 5]) == pytest.approx(2.776 * math.sqrt(2.5) / math.sqrt(5))
    assert series.mean_half_width([7.0, 7.0, 7.0]) == 0
    # t(1) * sqrt(2) / sqrt(2): wide, and valid
    assert series.mean_half_width([1.0, 3.0]) == pytest.approx(12.706)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_value_has_no_interval_of_its_mean(values: list[float]) -> None:
    assert series.mean_half_width(values) is None


def test_trend_z_is_the_hand_computed_value() -> None:
    # 1 2 3 4 5: S = 10, var = 5*4*15/18 = 16.667, z = 9/4.0825
    assert series.trend_z([1, 2, 3, 4, 5]) == pytest.approx(2.2045, abs=1e-4)
    # 23 24 29 6 29 24 24 29 23, with ties of 2, 3 and 3:
    # S = 5 + 1 - 4 + 5 - 3 + 0 + 0 - 1 = 3, var = (9*8*23 - 2*1*9 - 3*2*11 - 3*2*11)/18 = 1506/18, z = 2/9.1469
    assert series.trend_z([23, 24, 29, 6, 29, 24, 24, 29, 23]) == pytest.approx(0.21865, abs=1e-5)


def test_trend_z_of_nothing_that_moves_is_zero() -> None:
    assert series.trend_z([4, 4, 4, 4, 4, 4]) == 0
    assert series.trend_z([3]) == 0
    assert series.trend_z([1, 2, 2, 1]) == 0


@PATIENT
@given(st.lists(st.integers(1, 50), min_size=1, max_size=15))
def test_a_trend_backwards_is_the_opposite_trend(values: list[int]) -> None:
    assert series.trend_z(values[::-1]) == pytest.approx(-series.trend_z(values))


@pytest.mark.parametrize(("count", "k"), [(6, 1), (9, 2), (10, 2), (12, 3), (25, 8), (50, 18)])
def test_a_cautious_interval_is_the_tables_order_statistics(count: int, k: int) -> None:
    assert series.median_interval(alternating(count), cautious=True) == (k, count + 1 - k)


# ------------------------------------------------------------------ how many independent values there are


def autocorrelated(count: int, phi: float, seed: int) -> list[float]:
    """AR(1) of standard deviation 1 around 0."""
    source = random.Random(seed)
    values = [source.gauss(0, 1)]
    while len(values) < count:
        values.append(phi * values[-1] + source.gauss(0, math.sqrt(1 - phi**2)))
    return values


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6, 0.8])
def test_the_effective_count_of_a_long_series_is_that_of_its_autocorrelation(phi: float) -> None:
    """The ranks of a Gaussian series are correlated by 6/pi asin(phi/2), a little less than its values."""
    r = 6 / math.pi * math.asin(phi / 2)
    assert series.effective_count(autocorrelated(2000, phi, 5)) == pytest.approx(2000 * (1 - r) / (1 + r), rel=0.15)


def test_short_independent_series_are_not_taken_for_less_on_the_whole() -> None:
    counts = sorted(series.effective_count(autocorrelated(14, 0.0, seed)) for seed in range(500))
    assert counts[250] > 12 and counts[50] < 10


def test_values_that_alternate_or_are_all_equal_count_in_full() -> None:
    assert series.effective_count(alternating(20)) == 20
    assert series.effective_count([3.0] * 20) == 20
    assert series.effective_count([1, 2, 3]) == 3


@pytest.mark.parametrize(("phi", "least"), [(0.0, 0.93), (0.3, 0.92), (0.5, 0.88)])
def test_the_interval_covers_the_median_of_values_that_resemble_their_predecessors(phi: float, least: float) -> None:
    """Of 24 rounds. The order statistics alone cover it in 96, 89 and 80 %."""
    covered = 0
    for seed in range(1000):
        interval = series.median_interval(autocorrelated(24, phi, seed))
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
    assert least <= covered / 1000 <= 0.98


# ------------------------------------------------------------------ the stop rule

STOP = {"rounds_min": 6, "values_min": 0, "seconds_min": 0.0, "precision": 0.01}


def is_enough(medians: Sequence[float]) -> bool:
    return series.is_enough(medians, 1000, 10.0, STOP)


def test_an_interval_that_is_narrow_by_chance_does_not_stop_a_measurement() -> None:
    """Sixteen rounds know the median to 0.1 %; two thirds of them did not."""
    wide, narrow = [0.96, 1.04, 0.97, 1.03, 0.95, 1.05], [0.999, 1.001] * 10
    medians = [*wide, *narrow[:10]]
    assert series.median_interval(medians) == (0.999, 1.001)
    assert not is_enough(medians)
    assert is_enough([*wide, *narrow])


def test_rounds_that_resemble_one_another_are_not_enough_however_close() -> None:
    assert is_enough([1 + 0.0001 * step for step in alternating(20)])
    assert not is_enough([1 + 0.0001 * step for step in range(20)])


def test_the_interval_at_which_a_measurement_stops_still_covers_the_truth() -> None:
    """Rounds of 2 % noise, looked at after each of them, as the agent does."""
    covered = 0
    for seed in range(300):
        medians = noise(100, seed, sigma=0.02)
        count = next((count for count in range(6, 100) if is_enough(medians[:count])), 100)
        interval = series.median_interval(medians[:count])
        assert interval is not None
        covered += interval[0] <= 1 <= interval[1]
    assert 0.92 <= covered / 300 <= 0.985


# ------------------------------------------------------------------ warm-up


def noise(count: int, seed: int, sigma: float = 0.005) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(1, sigma) for _ in range(count)]


def first_stationary(medians: Sequence[float]) -> int | None:
    """After how many windows the warm-up loop of the agent would end."""
    for count in range(1, len(medians) + 1):
        if series.is_stationary(medians[:count]):
            return count
    return None


def test_fewer_windows_than_the_test_needs_are_never_stationary() -> None:
    assert not any(series.is_stationary([1.0] * count) for count in range(series.WINDOWS))
    assert series.is_stationary([1.0] * series.WINDOWS)


@pytest.mark.parametrize(("constant", "left"), [(3, 0.005), (5, 0.01), (10, 0.02)])
def test_the_end_of_a_decaying_warm_up_is_found(constant: float, left: float) -> None:
    """It starts at twice the level. In nine runs of ten no more than `left` of it comes into the rounds."""
    remains = []
    for seed in range(100):
        decay = [math.exp(-window / constant) for window in range(200)]
        medians = [level * (1 + extra) for level, extra in zip(noise(200, seed), decay, strict=True)]
        count = first_stationary(medians)
        assert count is not None, "it never ended"
        remains.append(decay[count])
    assert sorted(remains)[90] < left


def test_a_decay_that_is_slow_for_the_windows_looked_at_does_not_pass_for_a_level() -> None:
    """Over ten windows it falls by a quarter of what is left of it: the last third of all windows shows it."""
    for seed in range(30):
        medians = [level * (1 + math.exp(-window / 30)) for window, level in enumerate(noise(300, seed))]
        count = first_stationary(medians)
        assert count is not None and math.exp(-count / 30) < 0.005


@pytest.mark.parametrize("height", [1.1, 1.5, 0.8])
@pytest.mark.parametrize("ago", [3, 4, 5, 6, 7])
def test_a_step_among_the_last_windows_keeps_warm_up_going(height: float, ago: int) -> None:
    for seed in range(100):
        medians = noise(series.WINDOWS, seed)
        stepped = [height * value for value in medians[:-ago]] + medians[-ago:]
        assert not series.is_stationary(stepped), seed


@pytest.mark.parametrize("height", [1.1, 1.5, 0.8])
def test_the_end_of_a_step_is_found(height: float) -> None:
    """In nine runs of ten warm-up is over when as many windows lie behind the step as are looked at, and half again."""
    ends = []
    for seed in range(100):
        medians = noise(60, seed)
        ends.append(first_stationary([height * value for value in medians[:12]] + medians[12:]) or 60)
    assert sorted(ends)[90] < 12 + 1.5 * series.WINDOWS


@pytest.mark.parametrize("slope", [0.005, 0.01, -0.005, -0.01])
def test_a_slow_slope_does_not_pass_for_a_level(slope: float) -> None:
    """0.5 % per window under 0.5 % of noise: the halves differ by little, the trend gives it away."""
    passed = sum(
        series.is_stationary([level * (1 + slope * window) for window, level in enumerate(noise(10, seed))])
        for seed in range(500)
    )
    assert passed <= 25


def test_a_steady_device_is_rarely_called_unsteady() -> None:
    """The trend test's own level is 5 %; noise of 1 % adds little through the halves. Both bounds can fail."""
    refused = sum(not series.is_stationary(noise(series.WINDOWS, seed, sigma=0.01)) for seed in range(2000))
    assert 0.02 <= refused / 2000 <= 0.10


# ------------------------------------------------------------------ the cold start of a round

positive = st.integers(1, 10**9)


@PATIENT
@given(st.lists(positive, min_size=1, max_size=200))
def test_a_cold_prefix_is_at_most_a_quarter_and_above_everything_else_typical(values: list[int]) -> None:
    cold = series.cold_prefix(values)
    assert 0 <= cold <= len(values) / 4
    limit = sorted(values)[int(0.75 * len(values))]
    assert all(value > limit for value in values[:cold])
    assert values[cold] <= limit or len(values) < 10


@PATIENT
@given(st.lists(positive, min_size=10, max_size=200), st.integers(2, 1000))
def test_a_cold_prefix_does_not_depend_on_the_unit(values: list[int], factor: int) -> None:
    assert series.cold_prefix([value * factor for value in values]) == series.cold_prefix(values)


@PATIENT
@given(st.lists(positive, max_size=9))
def test_short_rounds_have_no_cold_prefix(values: list[int]) -> None:
    assert series.cold_prefix(values) == 0


def test_slow_first_values_are_cold_and_a_slow_one_later_is_not() -> None:
    steady = [100, 101, 99, 100, 102, 98, 100, 101, 99, 100] * 4
    assert series.cold_prefix([900, 400, 200, *steady]) == 3
    assert series.cold_prefix([100, 900, *steady]) == 0


def test_by_chance_a_cold_prefix_is_a_third_of_a_value_long() -> None:
    lengths = [series.cold_prefix(noise(100, seed)) for seed in range(3000)]
    assert sum(lengths) / len(lengths) == pytest.approx(0.33, abs=0.05)
