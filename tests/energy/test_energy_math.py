"""Integration, clocks, baselines, repeats and calibration: pure functions against a truth that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import energy as truth
from edgebench.energy.meters import Sample, _calibration, _clock, _integration
from edgebench.energy.meters._clock import Exchange
from edgebench.energy.meters._integration import NoEnergy, WindowContext, WindowEnergy
from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import BadFile, UserError
from edgebench.schema.energy_reading import Accuracy

KINDS = ("counter", "average", "point")
SENSORS = {kind: Sensor(kind, 0.1) for kind in KINDS}
TIMES_S = np.arange(0, 40.0, 0.1)


def trace(kind: str, watts: np.ndarray, times_s: np.ndarray = TIMES_S) -> np.ndarray:
    """What a meter of a kind would say of powers: a counter adds them up, each over the interval before it."""
    if kind != "counter":
        return watts
    return np.concatenate([[0.0], np.cumsum(watts[1:] * np.diff(times_s))])


def integrate(kind: str, watts: np.ndarray, start_s: float = 10.03, end_s: float = 30.07) -> WindowEnergy:
    return _integration.integrate(TIMES_S, trace(kind, watts), start_s, end_s, SENSORS[kind])


def refusal(*arguments: object, **keywords: object) -> NoEnergy:
    with pytest.raises(NoEnergy) as caught:
        _integration.integrate(*arguments, **keywords)  # type: ignore[arg-type]
    assert str(caught.value)
    return caught.value


# ------------------------------------------------------------------ integration


@pytest.mark.parametrize("kind", KINDS)
def test_constant_power_is_exact(kind: str) -> None:
    found = integrate(kind, np.full(400, 5.0))
    assert found.energy_j == pytest.approx(5.0 * 20.04)
    assert found.mean_w == pytest.approx(5.0)
    assert not found.flags and found.max_gap_s == pytest.approx(0.1) and found.values == 200


def test_a_ramp_is_exact_for_a_point_meter() -> None:
    found = integrate("point", 2.0 + 0.1 * TIMES_S)
    assert found.energy_j == pytest.approx((2.0 + 0.1 * 20.05) * 20.04)


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=st.integers(0, 10_000),
    cuts_s=st.lists(st.floats(1.0, 38.0), min_size=3, max_size=3, unique_by=lambda cut: round(cut, 2)),
)
@settings(max_examples=40, deadline=None)
def test_two_windows_side_by_side_are_one(kind: str, seed: int, cuts_s: list[float]) -> None:
    """Of steps and counters; trapezoids as well, because the cut lies on their line."""
    watts = 2 + np.random.default_rng(seed).random(400) * 5
    start_s, middle_s, end_s = sorted(cuts_s)
    parts = integrate(kind, watts, start_s, middle_s).energy_j + integrate(kind, watts, middle_s, end_s).energy_j
    assert parts == pytest.approx(integrate(kind, watts, start_s, end_s).energy_j)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100.0), shift_s=st.floats(-5e5, 5e5))
@settings(max_examples=40, deadline=None)
def test_energy_scales_with_power_and_does_not_know_what_time_it_is(
    kind: str, seed: int, factor: float, shift_s: float
) -> None:
    watts = 2 + np.random.default_rng(seed).random(400) * 5
    found = integrate(kind, watts)
    scaled = _integration.integrate(
        TIMES_S + shift_s, trace(kind, watts) * factor, 10.03 + shift_s, 30.07 + shift_s, SENSORS[kind]
    )
    assert scaled.energy_j == pytest.approx(found.energy_j * factor, rel=1e-6)
    assert scaled.u_window_j == pytest.approx(found.u_window_j * factor, rel=1e-3)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_order_of_values_and_those_that_are_no_numbers_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    watts = 2 + rng.random(400) * 5
    order = rng.permutation(401)
    times_s, values = np.append(TIMES_S, 20.05)[order], np.append(watts, np.nan)[order]
    found = _integration.integrate(times_s, values, 10.03, 30.07, SENSORS["point"])
    assert found == integrate("point", watts)


def test_an_average_is_shared_out_at_the_edges() -> None:
    """Values 4, 8, 6 W over (0,1], (1,2], (2,3]: from 0.5 to 2.25 s are 2 + 8 + 1.5 J."""
    found = _integration.integrate(
        np.array([1.0, 2.0, 3.0]), np.array([4.0, 8.0, 6.0]), 0.5, 2.25, Sensor("average", 1.0)
    )
    assert found.energy_j == pytest.approx(11.5)
    assert found.flags == {"short_window"}


def test_known_idle_power_divides_the_interval_at_an_edge() -> None:
    """1 W until 0.75 s, 9 W until 2.25 s, 1 W: the averages are 3, 9, 3 W, and the window has 13.5 J."""
    arguments = np.array([1.0, 2.0, 3.0]), np.array([3.0, 9.0, 3.0]), 0.75, 2.25, Sensor("average", 1.0)
    known = _integration.integrate(*arguments, WindowContext(beside_w=1.0))
    evenly = _integration.integrate(*arguments)
    assert known.energy_j == pytest.approx(13.5)
    assert evenly.energy_j == pytest.approx(10.5) and evenly.u95_j >= 3.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("start_s", "end_s"), [(-5.0, 10.0), (30.0, 45.0), (50.0, 60.0)])
def test_a_window_that_the_meter_did_not_see_is_refused(kind: str, start_s: float, end_s: float) -> None:
    values = trace(kind, np.full(400, 5.0))
    assert refusal(TIMES_S, values, start_s, end_s, SENSORS[kind]).code == "outside"


def test_a_window_without_values_is_refused() -> None:
    assert refusal(np.array([]), np.array([]), 0.0, 10.0, SENSORS["point"]).code == "outside"


def test_a_point_meter_may_miss_an_edge_by_a_period_and_says_so() -> None:
    found = integrate("point", np.full(400, 5.0), 10.0, 39.95)
    assert found.flags == {"edge_extrapolated"} and found.energy_j == pytest.approx(5.0 * 29.95)


@pytest.mark.parametrize("kind", ["average", "point"])
def test_a_small_gap_is_flagged_and_a_large_one_refused(kind: str) -> None:
    watts = np.full(400, 5.0)
    small, large = np.r_[0:200, 203:400], np.r_[0:200, 210:400]
    found = _integration.integrate(TIMES_S[small], watts[small], 10.0, 39.0, SENSORS[kind])
    assert found.flags == {"gap"} and found.energy_j == pytest.approx(5.0 * 29.0)
    assert found.max_gap_s == pytest.approx(0.4)
    assert refusal(TIMES_S[large], watts[large], 10.0, 39.0, SENSORS[kind]).code == "gaps"


def test_a_counter_loses_nothing_in_a_gap() -> None:
    keep = np.r_[0:150, 250:400]
    values = trace("counter", np.linspace(1, 9, 400))
    found = _integration.integrate(TIMES_S[keep], values[keep], 10.0, 30.0, SENSORS["counter"])
    assert found.energy_j == pytest.approx(values[300] - values[100]) and not found.flags


def test_a_counter_that_wraps_is_mended_where_its_range_is_known() -> None:
    joules = trace("counter", np.full(400, 5.0))
    wrapped = (joules + 262_000.0) % 262_143.328850
    sensor = Sensor("counter", 0.1, wraps_at_j=262_143.328850)
    found = _integration.integrate(TIMES_S, wrapped, 10.0, 39.0, sensor)
    assert found.energy_j == pytest.approx(145.0) and found.flags == {"wrapped"}
    assert refusal(TIMES_S, wrapped, 10.0, 39.0, SENSORS["counter"]).code == "reset"


def test_readings_at_the_limit_are_no_energy() -> None:
    assert refusal(TIMES_S, np.full(400, 5.0), 10.0, 30.0, Sensor("point", 0.1, max_w=5.0)).code == "saturated"


def test_accuracy_is_systematic_and_kept_apart() -> None:
    sensor = Sensor("point", 0.1, accuracy=Accuracy(gain=0.01, offset_w=0.05, source="datasheet"))
    found = _integration.integrate(TIMES_S, np.full(400, 5.0), 10.0, 30.0, sensor)
    assert found.u_systematic_j == pytest.approx(np.hypot(0.01 * 100, 0.05 * 20) / np.sqrt(3))
    assert found.u_window_j == pytest.approx(0.0)
    assert integrate("point", np.full(400, 5.0)).u_systematic_j is None


def test_an_edge_at_an_unknown_instant_costs_the_step_of_power() -> None:
    watts = np.where((TIMES_S > 10) & (TIMES_S <= 30), 8.0, 3.0)
    sure = _integration.integrate(TIMES_S, watts, 10.0, 30.0, SENSORS["average"])
    unsure = _integration.integrate(TIMES_S, watts, 10.0, 30.0, SENSORS["average"], WindowContext(0.02))
    assert unsure.energy_j == sure.energy_j
    assert unsure.u_window_j == pytest.approx(np.sqrt(2) * 5.0 * 0.02, rel=0.01)


# ------------------------------------------------------------------ the promise: one percent, and honest about it


@pytest.mark.parametrize("name", ["100 Hz point", "2 Hz averaging", "100 Hz counter"])
def test_ten_seconds_are_known_to_a_percent_over_clocks_that_disagree(name: str) -> None:
    """Of 200 windows, 95 % within 1 % of the truth and no more than 5 % with too small a stated error."""
    trials = [truth.trial(seed, truth.SENSORS[name]) for seed in range(200)]
    errors = np.abs([one.error for one in trials])
    assert np.quantile(errors, 0.95) <= 0.01
    assert (errors > [one.stated_u95 for one in trials]).mean() <= 0.08  # of 200 windows: 5 % and two sigmas
    assert np.median([one.stated_u95 for one in trials]) <= 0.015  # honest is not: always much


def test_a_slow_point_meter_does_not_hide_how_little_it_knows() -> None:
    trials = [truth.trial(seed, truth.SENSORS["10 Hz point"]) for seed in range(200)]
    assert np.mean([abs(one.error) > one.stated_u95 for one in trials]) <= 0.08  # of 200 windows: 5 % and two sigmas
    assert np.median([one.stated_u95 for one in trials]) > 0.02


# ------------------------------------------------------------------ clocks

WAY_S = st.floats(1e-4, 0.2)


def exchange(at_s: float, there_s: float, back_s: float, offset_s: float, drift: float) -> Exchange:
    """A message out and back; the other clock is `offset_s` ahead at 0 and runs faster by `drift`."""

    def other(here_s: float) -> int:
        return round((here_s * (1 + drift) + offset_s) * 1e9)

    arrived_s = at_s + there_s
    left_s = arrived_s + 1e-4
    return Exchange(round(at_s * 1e9), other(arrived_s), other(left_s), round((left_s + back_s) * 1e9))


@given(
    ways=st.lists(st.tuples(WAY_S, WAY_S), min_size=2, max_size=20),
    offset_s=st.floats(-1e4, 1e4),
    drift=st.floats(-100e-6, 100e-6),
    at_s=st.floats(0.0, 30.0),
)
@settings(max_examples=200, deadline=None)
def test_the_bound_of_an_alignment_holds_always(
    ways: list[tuple[float, float]], offset_s: float, drift: float, at_s: float
) -> None:
    """Whatever the ways there and back, between two moments of a steady drift."""
    half = len(ways) // 2
    before = [exchange(-5.0 + 0.2 * number, *way, offset_s, drift) for number, way in enumerate(ways[:half])]
    after = [exchange(35.0 + 0.2 * number, *way, offset_s, drift) for number, way in enumerate(ways[half:])]
    other_ns = round((at_s * (1 + drift) + offset_s) * 1e9)
    for aligned in (_clock.align(before, after), _clock.align(before)):
        assert abs(aligned.here_s(other_ns) - at_s) <= aligned.bound_s(other_ns) + 1e-6
        assert 0 < aligned.u_s(other_ns) < aligned.bound_s(other_ns)


def test_two_moments_tell_the_drift_and_one_does_not() -> None:
    before, after = exchange(0.0, 0.001, 0.001, 2.0, 80e-6), exchange(100.0, 0.001, 0.001, 2.0, 80e-6)
    assert _clock.align([before], [after]).drift == pytest.approx(80e-6, rel=1e-3)
    alone = _clock.align([before])
    assert alone.drift is None
    assert alone.bound_s(round(102e9)) == pytest.approx(0.001 + 0.01, rel=0.01)


def test_the_exchange_with_the_shortest_way_is_believed() -> None:
    slow, quick = exchange(0.0, 0.5, 0.001, 2.0, 0.0), exchange(1.0, 0.001, 0.001, 2.0, 0.0)
    assert _clock.align([slow, quick]).early == quick


def test_a_clock_that_was_set_meanwhile_is_not_believed() -> None:
    broken, fine = Exchange(0, 0, 10**9, 1000), exchange(1.0, 0.01, 0.01, 2.0, 0.0)
    assert _clock.align([broken, fine]).early == fine
    with pytest.raises(ValueError, match="a possible delay"):
        _clock.align([broken])


# ------------------------------------------------------------------ calibration


def test_two_points_mend_what_a_meter_shows(tmp_path: Path) -> None:
    made = _calibration.from_two_points((1.1, 5.3), (1.0, 5.0), 0.005, "2026-11-20")
    assert [made.apply(Sample(0.0, shown)).power_w for shown in (1.1, 5.3)] == pytest.approx([1.0, 5.0])
    assert made.accuracy() == Accuracy(0.005, 0.0, "user_calibration:2026-11-20")
    file = tmp_path / "meters.yaml"
    assert _calibration.load(file) == {}
    _calibration.save("um25c", made, file)
    _calibration.save("tc66c", made, file)
    assert _calibration.load(file) == {"um25c": made, "tc66c": made}


@pytest.mark.parametrize("true_w", [(1.0, 1.2), (0.0, 5.0), (-1.0, 5.0), (5.0, 5.0), (1.0, float("nan"))])
def test_points_that_say_nothing_are_refused(true_w: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="are not two different loads"):
        _calibration.from_two_points((1.0, 5.0), true_w, 0.005, "2026-11-20")


def test_a_slip_in_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "meters.yaml"
    file.write_text("um25c:\n  date: '2026-11-20'\n  gian: 1.0\n  offset_w: 0.0\n  error: 0.01\n")
    with pytest.raises(BadFile, match="gian"):
        _calibration.load(file)
