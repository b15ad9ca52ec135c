"""The uncertainty of one window due to a meter's way of sampling: standard uncertainties in J.

A counter or a meter of averages sees all of the power; a meter of points sees only instants, and misses what lies
between them. Values with varying delays distort a power that changes.
"""

from __future__ import annotations

import math

import numpy as np

from device_agents.python import series
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.arrays import Floats

# Slower point meters miss whole bursts of a network's layers: their values say nothing about what lies between.
DENSE_PERIOD_S = 0.011
# A jump d between two dense values may be anywhere between them, with equal probability: d^2 / 12 each. If bursts and
# pauses all have the same length, both ends err together: from 0, for a whole number of periods, to d^2 / 8.
SHARE_OF_JUMP = 1 / 12
# Slow values are judged by the means of parts of the window with at least so many values (batch means: Conway 1963).
PARTS = 10
MOSTLY = 0.5
VALUES_A_PART = 3


def counter_j(powers_w: Floats, sensor: Sensor) -> float:
    """Two reads, each rounded to a step and up to a period old."""
    typical_w = float(np.median(powers_w))
    return math.hypot(sensor.step / math.sqrt(6), sensor.period_s * typical_w * math.sqrt(2 / 12))


def averages_j(ends_s: Floats, powers_w: Floats, sensor: Sensor) -> float:
    """Rounding, lateness and missing values, for which the next one stands in, wrong by as much as power changed.

    powers_w: of the intervals between ends_s.
    """
    lengths_s = np.diff(ends_s)
    rounding_j = sensor.step / math.sqrt(12) * _alike_s(lengths_s, powers_w)
    moves_w = np.abs(np.diff(powers_w))
    # Neighbours are equally late: at an edge within a value, both parts of the step err together.
    steps_w = powers_w[[0, -1]] - np.median(powers_w)
    late_j = sensor.jitter_s / math.sqrt(12) * math.sqrt(float((moves_w**2).sum() + (steps_w**2).sum() / 3))
    missing_s = np.maximum(np.round(lengths_s[1:] / sensor.period_s) - 1, 0.0) * sensor.period_s
    usual_w = math.sqrt(float((moves_w**2).mean())) if len(moves_w) else 0.0
    missing_j = math.sqrt(float(((missing_s * np.maximum(moves_w, usual_w)) ** 2).sum()))
    return math.hypot(rounding_j, late_j, missing_j)


def _alike_s(lengths_s: Floats, powers_w: Floats) -> float:
    """Root of the sum of squares of the times with the same rounding error: each value, or all that repeat to the
    digit. If most repeat, the others are taken as mixtures of the same powers.
    """
    _, levels, counts = np.unique(np.round(powers_w, 9), return_inverse=True, return_counts=True)
    times_s = np.bincount(levels, lengths_s)
    repeated = float(times_s[counts > 1].sum() / times_s.sum())
    return math.sqrt(float((times_s**2).sum())) / (repeated if repeated > MOSTLY else 1.0)


def points_j(times_s: Floats, powers_w: Floats, start_s: float, end_s: float, sensor: Sensor) -> float:
    """For trapezoids through these values, which extend beyond the window."""
    jumps_j = np.diff(powers_w) * np.diff(times_s)
    rounding_j = sensor.step / math.sqrt(12) * (end_s - start_s) / math.sqrt(max(len(times_s), 1))
    bends_w = (powers_w[2:] - powers_w[:-2]) / 2
    late_j = sensor.jitter_s / math.sqrt(12) * math.sqrt(float((bends_w**2).sum()))
    if sensor.period_s <= DENSE_PERIOD_S:
        return math.hypot(math.sqrt(SHARE_OF_JUMP * float((jumps_j**2).sum())), rounding_j, late_j)
    inside = (times_s > start_s) & (times_s < end_s)
    if inside.sum() < PARTS * VALUES_A_PART:
        # Few values, taken as independent draws: their variance is d^2 / 2 (von Neumann 1941).
        return math.hypot(math.sqrt(float((jumps_j**2).sum()) / 2), rounding_j)
    edges_j = [_edge_j(times_s, jumps_j, edge_s, sensor) for edge_s in (start_s, end_s)]
    return math.hypot(_parts_j(times_s[inside], powers_w[inside], end_s - start_s), *edges_j, rounding_j)


def _parts_j(times_s: Floats, powers_w: Floats, duration_s: float) -> float:
    """From the spread of means over equal parts of a window; widened, because ten parts determine it only roughly."""
    energies_j = np.concatenate([[0.0], np.cumsum((powers_w[1:] + powers_w[:-1]) / 2 * np.diff(times_s))])
    cuts_s = np.linspace(times_s[0], times_s[-1], PARTS + 1)
    means_w = np.diff(np.interp(cuts_s, times_s, energies_j)) / np.diff(cuts_s)
    return float(means_w.std(ddof=1)) / math.sqrt(PARTS) * series.t95(PARTS - 1) / 2 * duration_s


def _edge_j(times_s: Floats, jumps_j: Floats, edge_s: float, sensor: Sensor) -> float:
    """For a step of power at an unknown instant between two values."""
    near = np.abs((times_s[1:] + times_s[:-1]) / 2 - edge_s) <= sensor.period_s + sensor.latency_s
    return float(np.abs(jumps_j[near]).max(initial=0.0)) / math.sqrt(12)
