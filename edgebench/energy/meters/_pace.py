"""The instants of values with a steady period, from their arrival times, which are late by milliseconds."""

from __future__ import annotations

import numpy as np

from edgebench.schema.arrays import Floats

# Correction per value: smooths over about twenty values, and follows a period that is off by a percent.
SHARE = 0.05
# If an arrival is off by more periods than this, values were lost.
LOST_PERIODS = 5
# Values needed for a line; if one is off the line by more periods, the period was not steady.
LINE_MIN = 100
OFF_LINE = 0.5


class Pace:
    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s: float | None = None

    def at(self, arrived_s: float) -> float:
        """The instant of the value, apart from the mean transmission time."""
        at_s = arrived_s
        if self._last_s is not None:
            expected_s = self._last_s + self._period_s
            if abs(arrived_s - expected_s) <= LOST_PERIODS * self._period_s:
                at_s = expected_s + SHARE * (arrived_s - expected_s)
        self._last_s = at_s
        return at_s


def straight(times_s: Floats, period_s: float) -> Floats:
    """The instants moved onto a straight line, as of a quartz, which removes the remaining drift of fractions of a
    millisecond. Unchanged if they are not on a line.
    """
    if len(times_s) < LINE_MIN:
        return times_s
    steps = np.round(np.diff(times_s) / period_s)
    if steps.min() < 1:
        return times_s
    numbers = np.concatenate([[0.0], np.cumsum(steps)])
    since_s = times_s - times_s[0]
    slope_s, offset_s = np.polyfit(numbers, since_s, 1)
    line_s: Floats = offset_s + slope_s * numbers
    return times_s[0] + line_s if np.abs(line_s - since_s).max() <= OFF_LINE * period_s else times_s
