"""CO2 is compared that was computed with the intensities of different grids.

The CIFAR-100 profile study's "10x" is 452.6 g/kWh in Iowa against 285.5 in South Carolina: in energy it is 16.26x.
Right: energy first, then CO2 at one stated intensity for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.audit.evidence import Evidence
from edgebench.audit.finding import Finding
from edgebench.emissions import INTENSITY_G_PER_KWH

_TOLERANCE = 0.01
_REMEDY = "Compare energy, and CO2 at one stated intensity"


def find(evidence: Evidence) -> Iterator[Finding]:
    yield from _emissions(evidence)
    rows = {table.where(row): row.intensity_g_per_kwh for table, row in evidence.rows() if row.intensity_g_per_kwh}
    runs = {
        run.label: training.cost.intensity_g_per_kwh
        for run in evidence.variants
        for training in run.training
        if training.cost and training.cost.intensity_g_per_kwh
    }
    for stated in (rows, runs):
        if stated and _differ(min(stated.values()), max(stated.values())):
            low, high = min(stated, key=stated.__getitem__), max(stated, key=stated.__getitem__)
            seen = f"its CO2 is at {stated[low]:g} g/kWh, that of {high} at {stated[high]:g}"
            yield Finding("wrong", low, seen, _REMEDY)


def _emissions(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.emissions:
        return
    first, *others = evidence.emissions
    for other in others:
        if _differ(first.intensity_g_per_kwh, other.intensity_g_per_kwh):
            seen = (
                f"{first.intensity_g_per_kwh:.1f} g/kWh in {first.region or first.country}, "
                f"{other.intensity_g_per_kwh:.1f} in {other.region or other.country} for {other.name}: CO2 differs "
                f"{other.emissions_kg / first.emissions_kg:.2f}x, energy {other.energy_kwh / first.energy_kwh:.2f}x; "
                f"at {INTENSITY_G_PER_KWH} g/kWh it is {first.emissions_g():.2f} and {other.emissions_g():.2f} g"
            )
            yield Finding("wrong", first.where, seen, _REMEDY)


def _differ(first: float, second: float) -> bool:
    return abs(first / second - 1) > _TOLERANCE
