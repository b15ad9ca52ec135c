"""Accuracy divided by the CO2 of training: training less is greener, without bound.

The UltraLight study's Green Score. Right: give also the energy to reach a stated accuracy, and a Pareto front.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        scored = {row.label: row.values["green_score"].value for row in table.rows if "green_score" in row.values}
        if scored and not any("energy_to_accuracy" in row.values for row in table.rows):
            best = max(scored, key=scored.__getitem__)
            seen = (
                f"the best Green Score is {scored[best]:g} %/mg of '{best}', divided by the CO2 of training alone: "
                f"half the training at the same accuracy would give {2 * scored[best]:g}, without bound"
            )
            yield Finding("doubtful", table.title, seen, "Add the energy to a stated accuracy, and a Pareto front")
