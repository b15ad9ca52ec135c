"""What the targets were and how they were measured."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report.sections import PageSection, PageTable, _facts

PLACE = 910


def sections(comparison: Comparison) -> Iterator[PageSection]:
    first = {row.record.target.name: row for row in reversed(comparison.rows)}
    targets = [row for row in comparison.rows if first[row.record.target.name] is row]
    tables = [
        PageTable(row.record.target.name, ("condition", "value"), tuple(_facts.facts(row)), words=2, wraps=True)
        for row in targets
    ]
    if tables:
        yield PageSection("Conditions", tables=tuple(tables))
