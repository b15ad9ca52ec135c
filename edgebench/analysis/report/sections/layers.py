"""Where the time goes, layer by layer: an INT8 file beside the float one of its network."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis import layer_report
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report.sections import PageSection, PageTable

PLACE = 300
_TEXT = (
    "By each runtime's own profiler, in a pass of its own. Conversions (between float and integers, of layout) have "
    "rows of their own."
)


def sections(comparison: Comparison) -> Iterator[PageSection]:
    records = [row.record for row in comparison.rows]
    tables = [
        PageTable(found.title, found.headings, found.rows, found.sums, words=2, note=found.caption)
        for found in layer_report.tables(records)
    ]
    if tables:
        remarks = tuple(("note", reason) for reason in layer_report.missing(records))
        yield PageSection("Layer by layer", _TEXT, remarks, tuple(tables))
