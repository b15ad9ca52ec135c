"""Operations in other units than the column states: KMac beside MMac, MACs called FLOPs.

The UltraLight study's "GFLOPs" 421 and 844.55 are KMac, 5.94 to 37.25 are MMac, none are FLOPs: the custom network
needs 14x fewer where the column reads 71x more. Right: one unit, MACs or FLOPs (1 MAC is 2), and a named counting rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedTable
from edgebench.studies.audit.recompute import computed
from edgebench.studies.audit.units import UnitReading, read

# Printed numbers have three digits or more.
_TOLERANCE = 0.005
_MACS = ("MAC", "KMac", "MMac", "GMac")
_FLOPS = ("FLOP", "KFLOP", "MFLOP", "GFLOP")
_REMEDY = "Print MACs, or FLOPs = 2 x MACs, in one unit, and name the counting rule"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        for dataset in sorted({row.dataset for row in table.rows}):
            yield from _column(table, [row for row in table.rows if row.dataset == dataset])


def _column(table: PublishedTable, rows: list[PublishedRow]) -> Iterator[Finding]:
    """For one data set: other images need other numbers of operations."""
    readings = [reading for row in rows if (reading := _reading(row))]
    shown = f"printed as {readings[0].printed.unit}, {'; '.join(map(str, readings))}" if readings else ""
    if len({reading.unit for reading in readings}) > 1:
        yield Finding("wrong", table.title, f"units mixed: {shown}{_turned(readings)}", _REMEDY)
    elif any(reading.unit != reading.printed.unit for reading in readings):
        yield Finding("wrong", table.title, shown, _REMEDY)


def _reading(row: PublishedRow) -> UnitReading | None:
    """A number that is right as printed is not reinterpreted."""
    printed = row.values.get("operations")
    network = computed(row) if printed else None
    if printed is None or network is None:
        return None
    truths = {"MACs by the ptflops rule": network.ptflops_macs, "MACs of weights": network.size.macs}
    as_printed = read(row.label, printed, truths, (printed.unit,), _TOLERANCE)
    return as_printed or read(row.label, printed, truths, (*_MACS, *_FLOPS), _TOLERANCE)


def _turned(readings: list[UnitReading]) -> str:
    """The pair whose order the column reverses by most."""
    turned = [
        (first.printed.value / second.printed.value, second.truth / first.truth, first.label, second.label)
        for first, second in permutations(readings, 2)
        if first.printed.value > second.printed.value and first.truth < second.truth
    ]
    if not turned:
        return ""
    more, fewer, first, second = max(turned)
    return f"; '{first}' needs {fewer:.0f}x fewer than '{second}', although the column shows {more:.0f}x more"
