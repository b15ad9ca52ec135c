"""The instants of values that come at a steady pace, out of when they arrived: some are late by milliseconds."""

from __future__ import annotations

# Of what an arrival is off the pace; smooths over some twenty values, and follows a pace that is a percent off.
SHARE = 0.05
# Off by more periods than this, something was lost.
LOST_PERIODS = 5


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
