"""Modelled energy is shown as if it had been measured.

CodeCarbon takes 42.5 W for a processor that it does not know and watts for the size of the memory: 44 and 42 % of the
CIFAR-100 profile study's energy. Right: measured and modelled energy apart, each with its source, never their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgebench.energy.codecarbon_table import Emission
from edgebench.studies.audit import tables
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

NEGLIGIBLE = 0.01
# Words in a reading's source that no meter would use.
_MODELS = ("constant", "tdp", "ram power", "cpu_load")
_REMEDY = "Show the measured part, and separately the modelled part, labelled as such"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for runs in tables.of(evidence).values():
        found = [run for run in runs if (run.modelled_share or 0.0) > NEGLIGIBLE]
        if found:
            yield Finding("doubtful", tables.where(found), _words(found, runs), _REMEDY)
    for table, row in evidence.rows():
        energy = row.energy
        if energy and energy.presented_as == "measured" and _is_model(energy.component, energy.meter):
            seen = f"{energy.component} energy by {energy.meter or 'no meter'} is presented as measured"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
    for run in evidence.variants:
        for share in (share for training in run.training if training.cost for share in training.cost.energy):
            if share.provenance == "measured" and _is_model(share.component, share.source):
                seen = f"{share.joules:.0f} J of {share.component} are called measured, by '{share.source}'"
                yield Finding("wrong", run.label, seen, _REMEDY)


def _is_model(component: str, source: str) -> bool:
    return any(word in source.lower() for word in _MODELS) or (component != "gpu" and "codecarbon" in source.lower())


def _words(found: Sequence[Emission], runs: Sequence[Emission]) -> str:
    most = max(found, key=lambda run: run.modelled_share or 0.0)
    cpu = f"cpu {most.power_w['cpu']:g} W, CodeCarbon's constant, and " if most.is_cpu_constant else ""
    ram = f"{most.power_w['ram']:g} W " if "ram" in most.power_w else ""
    return (
        f"{tables.among(found, runs, most)}{most.modelled_share:.0%} of its {most.energy_kwh:.5f} kWh are modelled "
        f"({cpu}ram {ram}by its size), and no column says so"
    )
