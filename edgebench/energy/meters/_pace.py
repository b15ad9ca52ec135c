"""The instants of values that come at a steady pace, out of when they arrived: some are late by milliseconds."""

from __future__ import annotations

import numpy as np

from edgebench.schema.arrays import Floats

# Of what an arrival is off the pace; smooths over some twenty values, and follows a pace that is a percent off.
SHARE = 0.05
# Off by more periods than this, something was lost.
LOST_PERIODS = 5
# So many values make a line; one that is off it by more periods was no steady one.
LINE_MIN = 100
OFF_LINE = 0.5


class Pace:
    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s: float | None = None

    def at(self, arrived_s: float) -> float:
        """When the value was, but for what the way takes on average."""
        at_s = arrived_s
        if self._last_s is not None:
            expected_s = self._last_s + self._period_s
            if abs(arrived_s - expected_s) <= LOST_PERIODS * self._period_s:
                at_s = expected_s + SHARE * (arrived_s - expected_s)
        self._last_s = at_s
        return at_s


def straight(times_s: Floats, period_s: float) -> Floats:
    """The same instants on one line, as a quartz has them: what is left of late arrivals wanders by parts of a
    millisecond. As they are where they make no line.
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
