"""A network is claimed to fit into a memory that is smaller than its file.

The UltraLight study's "below 1 MB, so it fits into SRAM": 0.41 MB of float32 against the 264 KiB of an RP2040. Right:
bytes of the INT8 file and of the largest activations, against the device's memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow
from edgebench.studies.audit.recompute import computed


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, statement, rows in evidence.statements("file", "memory"):
        limit = statement.limit
        for row in rows:
            size = row.values.get(statement.quantity)
            if statement.relation == "fits" and limit and size and size.plain > limit.plain:
                seen = f"'{statement.says}', but {size} are {size.plain / limit.plain:.1f}x the {limit}{_as_int8(row)}"
                remedy = "Give the bytes of the INT8 file and of the largest activations"
                yield Finding("wrong", table.where(row), seen, remedy)


def _as_int8(row: PublishedRow) -> str:
    network = computed(row)
    return f"; as INT8 it would be about {network.size.parameters / 1e6:.2f} MB" if network else ""
