"""What a meter's way of sampling leaves open in one window: standard uncertainties in J.

A counter, or a meter of averages, sees all of the power; one of points sees moments of it, and what lies between them
by chance. Values that are late by different spans distort a power that moves.
"""

from __future__ import annotations

import math

import numpy as np

from device_agents.python import series
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.arrays import Floats

# Slower point meters miss whole bursts of a network's layers: their values tell nothing of what is between them.
DENSE_PERIOD_S = 0.011
# A jump d between two dense values happened anywhere between them, as likely here as there: d^2 / 12 each. Where bursts
# and pauses are all of one length, the two ends err together: from nothing, for a whole number of periods, to d^2 / 8.
SHARE_OF_JUMP = 1 / 12
# Slow values are judged by the means of parts of the window, of so many values at least (batch means: Conway 1963).
PARTS = 10
MOSTLY = 0.5
VALUES_A_PART = 3


def counter_j(powers_w: Floats, sensor: Sensor) -> float:
    """Two reads, each of a whole number of steps and up to a period old."""
    typical_w = float(np.median(powers_w))
    return math.hypot(sensor.step / math.sqrt(6), sensor.period_s * typical_w * math.sqrt(2 / 12))


def averages_j(ends_s: Floats, powers_w: Floats, sensor: Sensor) -> float:
    """powers_w: of the intervals between ends_s. Rounding, lateness, and values that are missing: the next one stands
    for them, and is wrong by as much as power moved.
    """
    lengths_s = np.diff(ends_s)
    rounding_j = sensor.step / math.sqrt(12) * _alike_s(lengths_s, powers_w)
    moves_w = np.abs(np.diff(powers_w))
    # Neighbours are late alike: at an edge that a value divides, both parts of the step err together.
    steps_w = powers_w[[0, -1]] - np.median(powers_w)
    late_j = sensor.jitter_s / math.sqrt(12) * math.sqrt(float((moves_w**2).sum() + (steps_w**2).sum() / 3))
    missing_s = np.maximum(np.round(lengths_s[1:] / sensor.period_s) - 1, 0.0) * sensor.period_s
    usual_w = math.sqrt(float((moves_w**2).mean())) if len(moves_w) else 0.0
    missing_j = math.sqrt(float(((missing_s * np.maximum(moves_w, usual_w)) ** 2).sum()))
    return math.hypot(rounding_j, late_j, missing_j)


def _alike_s(lengths_s: Floats, powers_w: Floats) -> float:
    """Root of the sum of squares of the times that are rounded alike: each value, or all that repeat to the digit.
    Where most do, the others are made of the same powers.
    """
    _, levels, counts = np.unique(np.round(powers_w, 9), return_inverse=True, return_counts=True)
    times_s = np.bincount(levels, lengths_s)
    repeated = float(times_s[counts > 1].sum() / times_s.sum())
    return math.sqrt(float((times_s**2).sum())) / (repeated if repeated > MOSTLY else 1.0)


def points_j(times_s: Floats, powers_w: Floats, start_s: float, end_s: float, sensor: Sensor) -> float:
    """Of trapezoids through these values, which reach beyond the window."""
    jumps_j = np.diff(powers_w) * np.diff(times_s)
    rounding_j = sensor.step / math.sqrt(12) * (end_s - start_s) / math.sqrt(max(len(times_s), 1))
    bends_w = (powers_w[2:] - powers_w[:-2]) / 2
    late_j = sensor.jitter_s / math.sqrt(12) * math.sqrt(float((bends_w**2).sum()))
    if sensor.period_s <= DENSE_PERIOD_S:
        return math.hypot(math.sqrt(SHARE_OF_JUMP * float((jumps_j**2).sum())), rounding_j, late_j)
    inside = (times_s > start_s) & (times_s < end_s)
    if inside.sum() < PARTS * VALUES_A_PART:
        # Few values, and as if each were drawn on its own: their variance is d^2 / 2 (von Neumann 1941).
        return math.hypot(math.sqrt(float((jumps_j**2).sum()) / 2), rounding_j)
    edges_j = [_edge_j(times_s, jumps_j, edge_s, sensor) for edge_s in (start_s, end_s)]
    return math.hypot(_parts_j(times_s[inside], powers_w[inside], end_s - start_s), *edges_j, rounding_j)


def _parts_j(times_s: Floats, powers_w: Floats, duration_s: float) -> float:
    """From the spread of means over equal parts of a window; widened, because ten parts tell a spread only so well."""
    energies_j = np.concatenate([[0.0], np.cumsum((powers_w[1:] + powers_w[:-1]) / 2 * np.diff(times_s))])
    cuts_s = np.linspace(times_s[0], times_s[-1], PARTS + 1)
    means_w = np.diff(np.interp(cuts_s, times_s, energies_j)) / np.diff(cuts_s)
    return float(means_w.std(ddof=1)) / math.sqrt(PARTS) * series.t95(PARTS - 1) / 2 * duration_s


def _edge_j(times_s: Floats, jumps_j: Floats, edge_s: float, sensor: Sensor) -> float:
    """Power stepped at an unknown instant between two values."""
    near = np.abs((times_s[1:] + times_s[:-1]) / 2 - edge_s) <= sensor.period_s + sensor.latency_s
    return float(np.abs(jumps_j[near]).max(initial=0.0)) / math.sqrt(12)
