"""Write one self-contained HTML file: tables, interactive charts, reasons, conditions."""

from __future__ import annotations

from pathlib import Path

from edgebench.analysis import answer, formatting, html_page, layer_report, report_text
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report import _facts

_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(comparison: Comparison) -> str:
    from edgebench.analysis.report._charts import charts

    drawn = charts(comparison)
    records = [row.record for row in comparison.rows]
    return html_page.render(
        _TEMPLATE,
        [spec for _, _, spec in drawn],
        fmt=formatting,
        text=report_text,
        facts=_facts.facts,
        shapes=report_text.shows_shapes(comparison.rows),
        answer=answer.of(comparison).lines,
        rows=comparison.rows,
        levels={level: _count(comparison, level) for level in ("valid", "suspect", "invalid")},
        targets=list({row.record.target.name: row for row in comparison.rows}.values()),
        remarks=report_text.remarks(comparison.rows),
        notes=list(report_text.notes(comparison)),
        layers=layer_report.tables(records),
        no_layers=layer_report.missing(records),
        charts=[(heading, explained) for heading, explained, _ in drawn],
    )


def _count(comparison: Comparison, level: str) -> int:
    return sum(row.verdict.level == level for row in comparison.rows)
