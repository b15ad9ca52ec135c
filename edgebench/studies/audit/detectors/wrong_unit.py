"""A quantity is given in the unit of another one.

"Power usage (wH)": a watt hour is energy. Right: energy in J or Wh, mean power in W, each in a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import KINDS


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        for quantity, value in row.values.items():
            if value.kind != KINDS[quantity]:
                seen = f"{quantity} is {value}, but '{value.unit or 'no unit'}' is a unit of {value.kind}"
                yield Finding("wrong", table.where(row), seen, f"Call it {value.kind}, or give {quantity} its own unit")
