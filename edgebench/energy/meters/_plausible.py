"""Plausibility of a meter's values: frozen values, contradictions with its own counter, and current that flows back.

Each check refuses a window with the reason and the remedy: a meter that answers does not necessarily measure.
"""

from __future__ import annotations

import math

import numpy as np

from edgebench.energy.meters._integration import NoEnergy
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.arrays import Floats

# Values are frozen if they repeat to the digit for this long, and this many periods, on both sides of an edge, where
# the load changed.
STILL_S = 1.0
STILL_PERIODS = 5
# A run of equal values within a window is not by chance if it is less likely than this.
CHANCE = 1e-6
LEAST_RUN = 10
# By how much a meter's own counter and its power may differ, besides the counter's steps.
COUNTER_SHARE = 0.05
COUNTER_STEPS = 2.0
# If fewer of a counter's moves are possible ones, the counter itself is garbled and ignored.
SOUND_MOVES = 0.8
# Idle power below this flows back; smaller negative values are an offset.
BACK_W = -0.02
FROZEN_CURE = "Unplug the meter, plug it in, and check that the values of `edgebench meters watch` change"


def check_moving(times_s: Floats, watts: Floats, start_s: float, end_s: float, sensor: Sensor) -> None:
    """Raises NoEnergy for values that repeat to the digit while the device started or stopped inferring."""
    begins = np.concatenate([[0], np.flatnonzero(np.diff(watts)) + 1])
    ends = np.concatenate([begins[1:], [len(watts)]]) - 1
    needed_s = max(STILL_S, STILL_PERIODS * sensor.period_s)
    for first, last in zip(begins, ends, strict=True):
        for edge_s in (start_s, end_s):
            before_s, after_s = edge_s - times_s[first], times_s[last] - edge_s
            if min(before_s, after_s) >= needed_s:
                raise _still(watts[first], times_s[last] - times_s[first])
    inside = (times_s >= start_s) & (times_s <= end_s)
    _check_runs(times_s[inside], watts[inside])


def _check_runs(times_s: Floats, watts: Floats) -> None:
    """Raises NoEnergy for a run of equal values that is most unlikely, given the other values."""
    if len(watts) < 2 * LEAST_RUN:
        return
    begins = np.concatenate([[0], np.flatnonzero(np.diff(watts)) + 1])
    runs = np.diff(np.concatenate([begins, [len(watts)]]))
    at = int(np.argmax(runs))
    longest, others = int(runs[at]), int(runs.sum() - runs[at])
    if longest < LEAST_RUN or others < LEAST_RUN:
        return
    share = (others - (len(runs) - 1) + 1) / (others + 2)
    if others * math.exp((longest - 1) * math.log(share)) < CHANCE:
        raise _still(watts[begins[at]], times_s[begins[at] + longest - 1] - times_s[begins[at]])


def _still(watts: float, seconds: float) -> NoEnergy:
    return NoEnergy("frozen", f"its values were frozen at {watts:g} W for {seconds:.1f} s. {FROZEN_CURE}")


def check_counter(
    times_s: Floats, watts: Floats, counters_j: Floats, start_s: float, end_s: float, energy_j: float, sensor: Sensor
) -> None:
    """Raises NoEnergy if the meter's own counter contradicts the sum of its power over the window. A counter that never
    moves is taken to be off, unless power never moves either.
    """
    if sensor.counter_step_j is None or energy_j <= 0:
        return
    late_j = energy_j / (end_s - start_s) * (sensor.latency_s + 2 * sensor.period_s)
    allowed_j = COUNTER_STEPS * sensor.counter_step_j + COUNTER_SHARE * energy_j + late_j
    counted = counters_j[np.isfinite(counters_j)]
    if len(counted) > 2 and not np.ptp(counted):
        if not np.ptp(watts) and energy_j > allowed_j:
            raise _still(watts[0], times_s[-1] - times_s[0])
        return
    moved = _moved_j(times_s, counters_j, start_s, end_s, energy_j / (end_s - start_s), sensor.counter_step_j)
    if moved is not None and abs(moved - energy_j) > allowed_j:
        raise NoEnergy(
            "counter",
            f"its own counter shows {moved:.3g} J, but its power adds up to {energy_j:.3g} J. {FROZEN_CURE}",
        )


def _moved_j(
    times_s: Floats, counters_j: Floats, start_s: float, end_s: float, mean_w: float, step_j: float
) -> float | None:
    """By how much the counter moved; None if it does not count or is garbled."""
    known = np.isfinite(counters_j)
    times_s, counters_j = times_s[known], counters_j[known]
    if len(counters_j) < 3 or not np.ptp(counters_j):
        return None
    within = (times_s >= start_s) & (times_s <= end_s)
    moves_j, waits_s = np.diff(counters_j[within]), np.diff(times_s[within])
    if not len(moves_j):
        return None
    sound = (moves_j >= 0) & (moves_j <= 5 * mean_w * waits_s + 2 * step_j)
    if sound.mean() < SOUND_MOVES:
        return None
    return float(moves_j[sound].sum() / waits_s[sound].sum() * (end_s - start_s))


def check_forwards(energy_j: float, duration_s: float, *, idle: bool) -> None:
    """Raises NoEnergy for current that flows from the device into its supply."""
    mean_w = energy_j / duration_s
    if mean_w < BACK_W or (mean_w < 0 and not idle):
        raise NoEnergy("backwards", f"current flows backwards ({mean_w:.3g} W): swap the leads of the meter")
