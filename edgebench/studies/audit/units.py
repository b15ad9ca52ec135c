"""Which unit a printed number is really in, found from what it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebench.studies.audit.published import UNITS, Value


@dataclass(frozen=True)
class Reading:
    """A printed number read in `unit`: then it is `truth` by the rule of that name."""

    label: str
    printed: Value
    unit: str
    rule: str
    truth: float

    def __str__(self) -> str:
        return f"{self.printed.value:g} of '{self.label}' is {self.unit} ({self.truth:,.0f} {self.rule})"


def read(
    label: str, printed: Value, truths: Mapping[str, float], units: Sequence[str], tolerance: float
) -> Reading | None:
    """The nearest of all readings within the tolerance. truths: rule -> the value, in the kind's own unit."""
    readings = [Reading(label, printed, unit, rule, truth) for unit in units for rule, truth in truths.items()]
    best = min(readings, key=_off)
    return best if _off(best) <= tolerance else None


def _off(reading: Reading) -> float:
    return abs(reading.printed.value * UNITS[reading.unit][1] / reading.truth - 1)
