"""A stated number or advantage that no measurement in the table supports.

"Power per inference" read while training; "~1 ms on GPU" from a machine without one, "better calibration" without an
ECE, gains of single ingredients without an ablation. Right: measure it, or do not state it.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedStatement

# These follow from the network, and other detectors compute them.
_COMPUTED = ("parameters", "operations", "file", "memory")
_REMEDY = "Measure it and give it a column, or leave the sentence out"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        for statement in table.statements:
            gaps = [gap for label in statement.rows if (gap := _gap(label, table.row(label), statement))]
            if gaps:
                yield Finding("wrong", table.title, f"'{statement.says}', but {' and '.join(gaps)}", _REMEDY)


def _gap(label: str, row: PublishedRow | None, statement: PublishedStatement) -> str:
    """What the sentence lacks to be about this row. A number in the sentence itself counts as measured."""
    if row is None:
        return f"row '{label}' does not exist"
    if statement.device and row.device and statement.device != row.device:
        return f"{statement.quantity} of '{label}' was measured on {row.device}, not on {statement.device}"
    if statement.phase and row.energy and statement.phase != row.energy.phase:
        return f"{statement.quantity} of '{label}' was measured during {row.energy.phase}, not {statement.phase}"
    if statement.limit or statement.quantity in row.values or (row.model and statement.quantity in _COMPUTED):
        return ""
    return f"no {statement.quantity} of '{label}' was measured"
