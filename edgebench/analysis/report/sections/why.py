"""Why: what slows INT8 and pruned files down, as far as the records show it."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis import explanation_report
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report.sections import PageSection, PageTable

PLACE = 290
_TEXT = "What the records show; edgebench explain also reads the files, where they are at hand."


def sections(comparison: Comparison) -> Iterator[PageSection]:
    found = explanation_report.of_records([row.record for row in comparison.rows])
    if found:
        tables = tuple(
            PageTable(one.title, explanation_report.HEADINGS, one.rows, words=2, note=" ".join(one.notes), wraps=True)
            for one in found
        )
        yield PageSection("Why", _TEXT, tables=tables)
