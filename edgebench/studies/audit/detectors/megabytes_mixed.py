"""Sizes where one MB is 10^6 bytes and another 2^20, or all are 2^20 but called MB.

The UltraLight study prints decimal megabytes, the approximate-compression and lightweight-CNN studies print MiB and
call them MB. Right: bytes, or a unit that says which it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedTable
from edgebench.studies.audit.recompute import computed
from edgebench.studies.audit.units import UnitReading, read

# A file holds names and shapes besides the numbers; the two units differ by 4.9 %.
_TOLERANCE = 0.02
SHOWN = 3
_REMEDY = "Write bytes, or MB for 10^6 and MiB for 2^20, one of them in a column"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        readings = list(_readings(table))
        wrong = [reading for reading in readings if reading.unit != reading.printed.unit]
        if wrong and len(wrong) < len(readings):
            seen = f"one column mixes both units: {_shown(readings)}"
            yield Finding("wrong", table.title, seen, _REMEDY)
        elif wrong:
            seen = f"printed as {wrong[0].printed.unit}, {_shown(wrong)}"
            yield Finding("wrong", table.title, seen, _REMEDY)


def _shown(readings: list[UnitReading]) -> str:
    more = f"; and {len(readings) - SHOWN} more" if len(readings) > SHOWN else ""
    return "; ".join(map(str, readings[:SHOWN])) + more


def _readings(table: PublishedTable) -> Iterator[UnitReading]:
    """Only for files near the dense network's size: the right size of others is unknown."""
    for row in table.rows:
        network = computed(row) if "file" in row.values and row.values["file"].unit in ("MB", "MiB") else None
        if network:
            truths = {"bytes of numbers": float(network.size.weights_bytes)}
            reading = read(row.label, row.values["file"], truths, ("MB", "MiB"), _TOLERANCE)
            if reading:
                yield reading
