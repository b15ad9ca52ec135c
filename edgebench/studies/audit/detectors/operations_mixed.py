"""Operations in other units than the column says: KMac beside MMac, MACs called FLOPs.

The UltraLight study's "GFLOPs" 421 and 844.55 are KMac, 5.94 to 37.25 are MMac, none are FLOPs: the custom network
needs 14x fewer where the column reads 71x more. Right: one unit, MACs or FLOPs (1 MAC is 2), and the rule of counting
named.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedTable
from edgebench.studies.audit.recompute import computed
from edgebench.studies.audit.units import UnitReading, read

# A printed number has three digits or more.
_TOLERANCE = 0.005
_MACS = ("MAC", "KMac", "MMac", "GMac")
_FLOPS = ("FLOP", "KFLOP", "MFLOP", "GFLOP")
_REMEDY = "Print MACs, or FLOPs = 2 x MACs, in one unit, and name the rule of counting"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        for dataset in sorted({row.dataset for row in table.rows}):
            yield from _column(table, [row for row in table.rows if row.dataset == dataset])


def _column(table: PublishedTable, rows: list[PublishedRow]) -> Iterator[Finding]:
    """Of one data set: networks for other images need other numbers of operations."""
    readings = [reading for row in rows if (reading := _reading(row))]
    shown = f"printed as {readings[0].printed.unit}, {'; '.join(map(str, readings))}" if readings else ""
    if len({reading.unit for reading in readings}) > 1:
        yield Finding("wrong", table.title, f"units mixed: {shown}{_turned(readings)}", _REMEDY)
    elif any(reading.unit != reading.printed.unit for reading in readings):
        yield Finding("wrong", table.title, shown, _REMEDY)


def _reading(row: PublishedRow) -> UnitReading | None:
    """A number that is right as it is printed is not read otherwise."""
    printed = row.values.get("operations")
    network = computed(row) if printed else None
    if printed is None or network is None:
        return None
    truths = {"MACs by the ptflops rule": network.ptflops_macs, "MACs of weights": network.size.macs}
    as_printed = read(row.label, printed, truths, (printed.unit,), _TOLERANCE)
    return as_printed or read(row.label, printed, truths, (*_MACS, *_FLOPS), _TOLERANCE)


def _turned(readings: list[UnitReading]) -> str:
    """The pair whose order the column turns round the furthest."""
    turned = [
        (first.printed.value / second.printed.value, second.truth / first.truth, first.label, second.label)
        for first, second in permutations(readings, 2)
        if first.printed.value > second.printed.value and first.truth < second.truth
    ]
    if not turned:
        return ""
    more, fewer, first, second = max(turned)
    return f"; '{first}' needs {fewer:.0f}x fewer than '{second}', where the column reads {more:.0f}x more"
