"""Write one self-contained HTML file: tables, interactive charts, reasons, conditions."""

from __future__ import annotations

from pathlib import Path

from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report import _facts, _format, _page, _text

_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(comparison: Comparison) -> str:
    from edgebench.analysis.report._charts import charts

    drawn = charts(comparison)
    return _page.render(
        _TEMPLATE,
        [spec for _, _, spec in drawn],
        fmt=_format,
        text=_text,
        facts=_facts.facts,
        shapes=_text.shows_shapes(comparison.rows),
        rows=comparison.rows,
        levels={level: _count(comparison, level) for level in ("valid", "suspect", "invalid")},
        targets=list({row.record.target.name: row for row in comparison.rows}.values()),
        remarks=_text.remarks(comparison.rows),
        notes=list(_text.notes(comparison)),
        charts=[(heading, explained) for heading, explained, _ in drawn],
    )


def _count(comparison: Comparison, level: str) -> int:
    return sum(row.verdict.level == level for row in comparison.rows)
