"""CO2 that is not the energy times the grid's intensity.

"At most +1 g" for 2.01 Wh at 527.93 g/kWh, which is 1.06 g. CodeCarbon writes 0 if it has no intensity. Right:
compute it, and state the intensity.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit import tables
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow

_TOLERANCE = 0.02
_REMEDY = "Compute it: kWh x g/kWh"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for runs in tables.of(evidence).values():
        found = [run for run in runs if run.emissions_kg == 0]
        if found:
            seen = f"{tables.among(found, runs, found[0])}emissions are 0 for {found[0].energy_kwh:.5f} kWh"
            yield Finding("doubtful", tables.where(found), seen, _REMEDY)
    for table, row in evidence.rows():
        grams = _grams(row)
        if grams is not None and "co2" in row.values and abs(row.values["co2"].plain / grams - 1) > _TOLERANCE:
            yield Finding("wrong", table.where(row), f"CO2 is {row.values['co2']}, but {_words(row, grams)}", _REMEDY)
    for table, statement, rows in evidence.statements("co2"):
        for row in rows:
            grams, limit = _grams(row), statement.limit
            if statement.relation == "below" and limit and grams is not None and abs(grams) >= limit.plain:
                yield Finding("wrong", table.where(row), f"'{statement.says}', but {_words(row, grams)}", _REMEDY)


def _grams(row: PublishedRow) -> float | None:
    energy = row.values.get("energy")
    if energy is None or energy.kind != "energy" or not row.intensity_g_per_kwh:
        return None
    return energy.plain / 3.6e6 * row.intensity_g_per_kwh


def _words(row: PublishedRow, grams: float) -> str:
    return f"{row.values['energy']} at {row.intensity_g_per_kwh:g} g/kWh are {grams:.2f} g"
