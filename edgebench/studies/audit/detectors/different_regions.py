"""A comparison of CO2 computed with the intensities of different grids.

The CIFAR-100 profile study's "10x" is 452.6 g/kWh in Iowa against 285.5 in South Carolina: in energy it is 16.26x.
Right: energy first, then CO2 at one stated intensity for all. Only runs in one table, or trained on one
data set, are compared, not two studies that are audited together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from edgebench.energy.codecarbon_table import INTENSITY_G_PER_KWH, Emission
from edgebench.studies.audit import tables
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

_TOLERANCE = 0.01
_REMEDY = "Compare energy, and CO2 at one stated intensity"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, runs in tables.of(evidence).items():
        yield from _emissions(table, [run for run in runs if run.emissions_kg])
    for stated in (*_rows(evidence), *_runs(evidence)):
        if _differ(min(stated.values()), max(stated.values())):
            low, high = min(stated, key=stated.__getitem__), max(stated, key=stated.__getitem__)
            seen = f"its CO2 is at {stated[low]:g} g/kWh, that of {high} at {stated[high]:g}"
            yield Finding("wrong", low, seen, _REMEDY)


def _rows(evidence: AuditEvidence) -> list[dict[str, float]]:
    """Place -> intensity, for each published table that states some."""
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for number, table in enumerate(evidence.published):
        for row in table.rows:
            if row.intensity_g_per_kwh:
                found[number][table.where(row)] = row.intensity_g_per_kwh
    return list(found.values())


def _runs(evidence: AuditEvidence) -> list[dict[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for run in evidence.variants:
        for training in run.training:
            if training.cost and training.cost.intensity_g_per_kwh:
                found[run.dataset][run.label] = training.cost.intensity_g_per_kwh
    return list(found.values())


def _emissions(table: str, runs: list[Emission]) -> Iterator[Finding]:
    """One finding per table, with the two runs that are furthest apart."""
    if not runs:
        return
    low, high = (extreme(runs, key=lambda run: run.intensity_g_per_kwh) for extreme in (min, max))
    if not _differ(low.intensity_g_per_kwh, high.intensity_g_per_kwh):
        return
    first, other = sorted((low, high), key=lambda run: run.number)
    unlike = sum(_differ(run.intensity_g_per_kwh, first.intensity_g_per_kwh) for run in runs)
    more = f"; {unlike} of {len(runs)} runs are at another intensity than {first.name}" if len(runs) > 2 else ""
    seen = (
        f"{first.intensity_g_per_kwh:.1f} g/kWh in {_place(first)}, {other.intensity_g_per_kwh:.1f} in {_place(other)} "
        f"for {other.name}: CO2 differs {other.emissions_kg / first.emissions_kg:.2f}x, energy "
        f"{other.energy_kwh / first.energy_kwh:.2f}x; at {INTENSITY_G_PER_KWH} g/kWh it is {first.emissions_g():.2f} "
        f"and {other.emissions_g():.2f} g{more}"
    )
    yield Finding("wrong", first.where if len(runs) == 2 else table, seen, _REMEDY)


def _place(run: Emission) -> str:
    return run.region or run.country or "an unnamed region"


def _differ(first: float, second: float) -> bool:
    return abs(first - second) > _TOLERANCE * min(first, second)
