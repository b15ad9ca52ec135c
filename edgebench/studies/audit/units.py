"""The true unit of a printed number, found from its true value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebench.studies.audit.published import UNITS, PublishedValue


@dataclass(frozen=True)
class UnitReading:
    """A printed number, if its unit is `unit`: it then equals `truth`, computed by `rule`."""

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
    """The best reading within the tolerance. truths: rule -> value, in the kind's base unit."""
    readings = [UnitReading(label, printed, unit, rule, truth) for unit in units for rule, truth in truths.items()]
    best = min(readings, key=_off)
    return best if _off(best) <= tolerance else None


def _off(reading: UnitReading) -> float:
    return abs(reading.printed.value * UNITS[reading.unit][1] / reading.truth - 1)
