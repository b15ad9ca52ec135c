"""The energy of one component is attributed to work that another one did.

The PLOS study sums Zeus' GPU energy while inference runs on the CPU. Right: meter the component that computes, and
name its rail in the column.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.schema.record import Record
from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.finding import Finding

_REMEDY = "Meter the component that computes, and name it"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        if row.energy and row.device and _misses({row.energy.component}, row.device):
            yield Finding("wrong", table.where(row), _words({row.energy.component}, row.device), _REMEDY)
    for run in evidence.variants:
        yield from _training(run)
    for record in evidence.records:
        yield from _inference(record)


def _training(run: AuditedRun) -> Iterator[Finding]:
    for training in run.training:
        read = {share.component for share in training.cost.energy} if training.cost else set()
        if read and _misses(set(read), training.device):
            yield Finding("wrong", run.label, _words(set(read), training.device), _REMEDY)


def _inference(record: Record) -> Iterator[Finding]:
    scopes = {reading.scope for reading in record.energy if reading.windows}
    read = {"gpu" if "gpu" in scope else "cpu" if scope.startswith("cpu") else "machine" for scope in scopes}
    if read and _misses(read, record.target.device):
        yield Finding("wrong", f"record {record.id}", _words(read, record.target.device), _REMEDY)


def _misses(read: set[str], device: str) -> bool:
    computes = "gpu" if device.startswith("cuda") else "cpu"
    return not read & {computes, "machine"}


def _words(read: set[str], device: str) -> str:
    return f"the energy is that of {' and '.join(sorted(read))}, but it ran on {device}"
