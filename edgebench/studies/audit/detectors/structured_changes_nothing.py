"""Pruning that is called structured but leaves parameters and MACs unchanged.

The UltraLight study's "30 % structured": 2,236,106 and 11,175,370 parameters are the dense networks'; channels were
at most masked. Right: parameters, MACs and shapes before and after, and an error if they are equal.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.recompute import computed

UNCHANGED = 0.99
_REMEDY = "Remove the channels physically, and print parameters and MACs before and after"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for run in evidence.variants:
        for step in run.pruning:
            left = step.after.parameters, step.after.macs
            if step.form == "smaller" and left >= (step.before.parameters, step.before.macs):
                seen = f"pruned at {step.ratio:g} it has {left[0]:,} parameters and {left[1]:,} MACs, as many as before"
                yield Finding("wrong", run.label, seen, _REMEDY)
    for table, row in evidence.rows():
        stated = row.values.get("parameters")
        if stated is None or row.pruned is None or row.pruned.scheme != "structured":
            continue
        network = computed(row)
        if network and stated.plain >= UNCHANGED * network.size.parameters:
            seen = (
                f"pruned at {row.pruned.ratio:.0%} it has {stated.plain:,.0f} parameters; the dense network has "
                f"{network.size.parameters:,}"
            )
            yield Finding("wrong", table.where(row), seen, _REMEDY)
