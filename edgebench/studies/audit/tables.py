"""Runs in CodeCarbon's tables: those in one file belong together, those in two files may come from two studies."""

from __future__ import annotations

from collections.abc import Sequence

from edgebench.energy.codecarbon_table import Emission
from edgebench.studies.audit.evidence import AuditEvidence


def of(evidence: AuditEvidence) -> dict[str, list[Emission]]:
    """By table."""
    found: dict[str, list[Emission]] = {}
    for run in evidence.emissions:
        found.setdefault(run.table, []).append(run)
    return found


def where(runs: Sequence[Emission]) -> str:
    """The place of a finding about these runs of one table."""
    return runs[0].where if len(runs) == 1 else runs[0].table


def among(found: Sequence[Emission], all_: Sequence[Emission], example: Emission) -> str:
    """The beginning of a finding about several runs: their number, and the one that its numbers are from."""
    return "" if len(found) == 1 else f"{len(found)} of {len(all_)} runs, for example {example.name}: "
