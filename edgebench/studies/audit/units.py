"""Which unit a printed number is really in, found from what it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebench.studies.audit.published import UNITS, PublishedValue


@dataclass(frozen=True)
class UnitReading:
    """A printed number read in `unit`: then it is `truth` by the rule of that name."""

    label: str
    printed: PublishedValue
    unit: str
    rule: str
    truth: float

    def __str__(self) -> str:
        return f"{self.printed.value:g} of '{self.label}' is {self.unit} ({self.truth:,.0f} {self.rule})"


def read(
    label: str, printed: PublishedValue, truths: Mapping[str, float], units: Sequence[str], tolerance: float
) -> UnitReading | None:
    """The nearest of all readings within the tolerance. truths: rule -> the value, in the kind's own unit."""
    readings = [UnitReading(label, printed, unit, rule, truth) for unit in units for rule, truth in truths.items()]
    best = min(readings, key=_off)
    return best if _off(best) <= tolerance else None


def _off(reading: UnitReading) -> float:
    return abs(reading.printed.value * UNITS[reading.unit][1] / reading.truth - 1)
