"""Estimate: what rooms hand to one another of a computed value. It is never stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; low and high are None if there are too few rounds or values."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Of the interval; the value itself without one."""
        return self.value if self.low is None else self.low, self.value if self.high is None else self.high

    @property
    def half_width(self) -> float | None:
        """Meaningful only if the interval is symmetric, as that of a mean is."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def reach(self) -> float | None:
        """Distance from the value to the farther end, as a fraction of the value."""
        if self.low is None or self.high is None:
            return None
        return max(self.value - self.low, self.high - self.value) / self.value
