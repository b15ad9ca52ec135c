"""The joules of a window from a meter's values around it, with the error of its kind of sampling.

         a                        b
───┬─────┼──┬───────┬────────┬────┼───┬───    ┬ a value
counter   E(b) - E(a), a straight line between reads
average   a value holds since the one before it
point     trapezoids: a straight line from value to value

     a - m  a                        b  b + m
If the device idles beside the window, its energy is that of the wider one minus idle power over 2 m: late values and
inexact instants then do no harm. Otherwise they add to the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from device_agents.python import aliasing
from edgebench.energy import coverage
from edgebench.energy.meters import _sampling
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.arrays import Floats
from edgebench.schema.energy_reading import Accuracy

IntegrationFlag = Literal["gap", "edge_extrapolated", "wrapped", "short_window", "aliasing"]
Code = Literal["outside", "gaps", "reset", "saturated", "frozen", "counter", "backwards"]

# A wait of so many periods is a gap; a window with more than this share of gaps is refused.
GAP_PERIODS = 3.0
GAP_SHARE = 0.02
# Shorter windows are measured but flagged (MLPerf Tiny requires 10 s).
WINDOW_MIN_S = 10.0


class NoEnergy(Exception):
    """The energy of a window cannot be determined; the text has the numbers."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class WindowContext:
    """What is known about a window besides the meter's values.

    u_edge_s: standard uncertainty of its two instants on the meter's clock. u_length_s: of the time between them, which
    is smaller, because both have the same offset. beside_w: idle power right before and after, for room_s on both
    sides; intervals at the edges are then divided by it instead of evenly. repeat_s: the period of what the device
    does.
    """

    u_edge_s: float = 0.0
    u_length_s: float = 0.0
    beside_w: float | None = None
    room_s: float = 0.0
    repeat_s: float | None = None


@dataclass(frozen=True)
class WindowEnergy:
    """Standard uncertainties (k = 1). u_window_j: by sampling, edges and clocks, independent from window to window.
    u_common_j: the same in all windows, such as the meter's lag. u_systematic_j: by the meter's accuracy, None if it is
    not specified.
    """

    energy_j: float
    duration_s: float
    u_window_j: float
    u_common_j: float
    u_systematic_j: float | None
    values: int
    max_gap_s: float
    flags: frozenset[IntegrationFlag]

    @property
    def mean_w(self) -> float:
        return self.energy_j / self.duration_s

    @property
    def u95_j(self) -> float:
        """All of them together, with a coverage of 95 %; lag and accuracy are limits."""
        limits = (math.sqrt(3) * self.u_common_j, math.sqrt(3) * (self.u_systematic_j or 0.0))
        return coverage.half_width(self.u_window_j, limits)


def integrate(
    times_s: Floats, values: Floats, start_s: float, end_s: float, sensor: Sensor, around: WindowContext | None = None
) -> WindowEnergy:
    """Energy between two instants on the clock of `times_s`, from values in W (J for a counter). Raises NoEnergy."""
    around = around or WindowContext()
    times_s, values = _in_order(times_s, values)
    flags: set[IntegrationFlag] = set()
    if end_s - start_s < WINDOW_MIN_S:
        flags.add("short_window")
    if sensor.kind == "counter":
        values = _unwrapped(values, sensor, flags)
    _check_cover(times_s, start_s, end_s, sensor, flags)
    inside = (times_s > start_s) & (times_s <= end_s)
    max_gap_s = _check_gaps(times_s, start_s, end_s, sensor, flags)
    if sensor.kind != "counter" and (values[inside] >= sensor.max_w).any():
        raise NoEnergy("saturated", f"values at the meter's limit of {sensor.max_w:g} W")
    margin_s, late = _margin_s(times_s, start_s, end_s, sensor, around)
    taken = start_s - margin_s, end_s + margin_s
    if sensor.kind == "point":
        energy_j, u_sampling_j = _trapezoids(times_s, values, (start_s, end_s), margin_s, sensor)
    else:
        energy_j, u_sampling_j = _steps(times_s, values, *taken, sensor, around.beside_w)
    energy_j -= 2 * margin_s * (around.beside_w or 0.0)
    step_w = _step_w(times_s, values, start_s, end_s, sensor, around.u_edge_s)
    u_alias_j = _u_alias_j(times_s[inside], values[inside], step_w, sensor, around)
    if u_alias_j > aliasing.SHARE * abs(energy_j):
        flags.add("aliasing")
    # Inexact instants: as far as values can be late, the edges count; where margins are subtracted at idle power, which
    # is the same before and after, only the time between the edges counts.
    u_clock_j = math.hypot(
        math.sqrt(2) * around.u_edge_s * step_w * late, around.u_length_s * (around.beside_w or 0.0) * (1 - late)
    )
    return WindowEnergy(
        energy_j=energy_j,
        duration_s=end_s - start_s,
        u_window_j=math.hypot(u_sampling_j, u_clock_j, u_alias_j),
        u_common_j=step_w * sensor.latency_s / math.sqrt(3) * late,
        u_systematic_j=_systematic_j(energy_j, end_s - start_s, sensor.accuracy),
        values=int(inside.sum()),
        max_gap_s=max_gap_s,
        flags=frozenset(flags),
    )


def _margin_s(
    times_s: Floats, start_s: float, end_s: float, sensor: Sensor, around: WindowContext
) -> tuple[float, float]:
    """(the margin added on both sides, the share of lateness that it does not cover)."""
    needed_s = sensor.latency_s + sensor.period_s + 3 * around.u_edge_s
    if around.beside_w is None or sensor.kind == "counter":
        return 0.0, 1.0
    seen_s = min(start_s - float(times_s[0]), float(times_s[-1]) - end_s)
    margin_s = max(min(needed_s, around.room_s, seen_s), 0.0)
    return margin_s, 1 - margin_s / needed_s


def _u_alias_j(times_s: Floats, values: Floats, step_w: float, sensor: Sensor, around: WindowContext) -> float:
    if around.repeat_s is None or sensor.kind != "point" or not len(values):
        return 0.0
    rest_w = float(values.mean()) - step_w if around.beside_w is None else around.beside_w
    readings = times_s.tolist(), values.tolist()
    return aliasing.u_joules(*readings, around.repeat_s, rest_w)


def _in_order(times_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Sorted by time, without values that are not finite, one value for each instant."""
    finite = np.isfinite(values)
    times_s, first = np.unique(times_s[finite], return_index=True)
    return times_s, values[finite][first]


def _unwrapped(joules: Floats, sensor: Sensor, flags: set[IntegrationFlag]) -> Floats:
    """A monotonic counter: each step back is a wrap, if the counter is known to wrap."""
    back = np.diff(joules) < 0
    if not back.any():
        return joules
    if sensor.wraps_at_j is None:
        raise NoEnergy("reset", "the counter went back: the meter or its driver was restarted")
    flags.add("wrapped")
    return joules + sensor.wraps_at_j * np.concatenate([[0], np.cumsum(back)])


def _check_cover(times_s: Floats, start_s: float, end_s: float, sensor: Sensor, flags: set[IntegrationFlag]) -> None:
    """Check that there are values beyond both edges; a point meter may miss an edge by a period."""
    if len(times_s) < 2:
        raise NoEnergy("outside", f"{len(times_s)} values in and around the window")
    first_s, last_s = float(times_s[0]), float(times_s[-1])
    missing_s = max(first_s - start_s, end_s - last_s)
    if sensor.kind == "average":
        missing_s = max(first_s - sensor.period_s - start_s, end_s - last_s)
    if missing_s <= 0:
        return
    if sensor.kind != "point" or missing_s > sensor.period_s:
        raise NoEnergy("outside", f"{missing_s:.2f} s of the window have no values")
    flags.add("edge_extrapolated")


def _check_gaps(times_s: Floats, start_s: float, end_s: float, sensor: Sensor, flags: set[IntegrationFlag]) -> float:
    """The longest wait between values in the window. Gaps do not matter for a counter."""
    waits_s = np.diff(times_s)
    overlap_s = np.minimum(times_s[1:], end_s) - np.maximum(times_s[:-1], start_s)
    inside = overlap_s > 0
    gaps = inside & (waits_s > GAP_PERIODS * sensor.period_s)
    if sensor.kind != "counter" and gaps.any():
        share = float(overlap_s[gaps].sum()) / (end_s - start_s)
        if share > GAP_SHARE:
            raise NoEnergy("gaps", f"the meter was silent for {share:.0%} of the window")
        flags.add("gap")
    return float(waits_s[inside].max(initial=0.0))


def _trapezoids(
    times_s: Floats, powers_w: Floats, window_s: tuple[float, float], margin_s: float, sensor: Sensor
) -> tuple[float, float]:
    """Energy of the window with its margins, and the uncertainty of sampling."""
    start_s, end_s = window_s[0] - margin_s, window_s[1] + margin_s
    around = (times_s >= start_s - sensor.period_s) & (times_s <= end_s + sensor.period_s)
    u_sampling_j = _sampling.points_j(times_s[around], powers_w[around], *window_s, sensor)
    return _area(times_s, powers_w, start_s, end_s), u_sampling_j


def _area(times_s: Floats, powers_w: Floats, start_s: float, end_s: float) -> float:
    """The area under the lines between points."""
    inside = (times_s > start_s) & (times_s < end_s)
    at_edges_w = np.interp([start_s, end_s], times_s, powers_w)
    knots_s = np.concatenate([[start_s], times_s[inside], [end_s]])
    knots_w = np.concatenate([at_edges_w[:1], powers_w[inside], at_edges_w[1:]])
    return float(np.trapezoid(knots_w, knots_s))


def _steps(
    times_s: Floats, values: Floats, start_s: float, end_s: float, sensor: Sensor, beside_w: float | None
) -> tuple[float, float]:
    """The same for a counter, or for a meter whose values are averages."""
    if sensor.kind == "counter":
        ends_s, energies_j = times_s, values - values[0]
    else:
        ends_s = np.concatenate([[times_s[0] - sensor.period_s], times_s])
        energies_j = np.concatenate([[0.0], np.cumsum(values * np.diff(ends_s))])
    powers_w = np.diff(energies_j) / np.diff(ends_s)
    first = int(np.searchsorted(ends_s, start_s, side="right")) - 1
    last = int(np.searchsorted(ends_s, end_s))
    if beside_w is None:
        at_start_j, at_end_j = np.interp([start_s, end_s], ends_s, energies_j)
        energy_j = float(at_end_j - at_start_j)
        u_edges_j = _u_split_j(ends_s, powers_w, start_s) + _u_split_j(ends_s, powers_w, end_s)
    else:
        outside_s = (start_s - ends_s[first]) + (ends_s[last] - end_s)
        energy_j = float(energies_j[last] - energies_j[first] - beside_w * outside_s)
        u_edges_j = 0.0
    if sensor.kind == "counter":
        u_reading_j = _sampling.counter_j(powers_w, sensor)
    else:
        u_reading_j = _sampling.averages_j(ends_s[first : last + 1], powers_w[first:last], sensor)
    return energy_j, math.hypot(u_edges_j, u_reading_j)


def _u_split_j(ends_s: Floats, powers_w: Floats, edge_s: float) -> float:
    """The uncertainty of dividing evenly the interval that contains an edge.

    If power steps at the edge, the error is f (1 - f) of the interval times the step (f: the part inside), to the same
    side at both edges. It counts as a standard uncertainty, not as a limit, because the step within an interval may be
    larger than the values beside it show.
    """
    index = min(int(np.searchsorted(ends_s, edge_s)), len(powers_w)) - 1
    if index < 0:
        return 0.0
    length_s = float(ends_s[index + 1] - ends_s[index])
    inside = float(ends_s[index + 1] - edge_s) / length_s
    around_w = powers_w[max(index - 1, 0) : index + 2]
    return inside * (1 - inside) * length_s * float(np.ptp(around_w))


def _step_w(times_s: Floats, values: Floats, start_s: float, end_s: float, sensor: Sensor, u_edge_s: float) -> float:
    """The difference between power inside and right beside a window, which an edge at a wrong instant costs."""
    if sensor.kind == "counter":
        values = np.concatenate([[np.nan], np.diff(values) / np.diff(times_s)])
    reach_s = sensor.latency_s + 2 * sensor.period_s + 4 * u_edge_s
    inside = (times_s > start_s) & (times_s <= end_s) & np.isfinite(values)
    before = (times_s > start_s - reach_s) & (times_s <= start_s)
    after = (times_s > end_s) & (times_s <= end_s + reach_s)
    beside_w = values[(before | after) & np.isfinite(values)]
    return float(np.abs(beside_w - values[inside].mean()).max(initial=0.0)) if inside.any() else 0.0


def _systematic_j(energy_j: float, duration_s: float, accuracy: Accuracy | None) -> float | None:
    if accuracy is None:
        return None
    return math.hypot(accuracy.gain * energy_j, accuracy.offset_w * duration_s) / math.sqrt(3)
