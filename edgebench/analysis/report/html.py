"""Write one self-contained HTML file: tables, interactive charts, reasons, conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebench.analysis import answer, formatting, html_page, report_text
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report import sections

_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(comparison: Comparison) -> str:
    from edgebench.analysis import chart_style

    shown = sections.of(comparison)
    figures = [figure for section in shown for figure in section.figures]
    theme = chart_style.page_theme()
    numbers = iter(range(1, 1 + sum(len(figure.panels) for figure in figures)))
    return html_page.render(
        _TEMPLATE,
        [_reflowing(panel) | {"config": theme} for figure in figures for panel in figure.panels],
        fmt=formatting,
        text=report_text,
        shapes=report_text.shows_shapes(comparison.rows),
        answer=answer.of(comparison).lines,
        rows=comparison.rows,
        levels={level: _count(comparison, level) for level in ("valid", "suspect", "invalid")},
        remarks=report_text.remarks(comparison.rows),
        notes=list(report_text.notes(comparison)),
        sections=shown,
        charts={figure.name: [next(numbers) for _ in figure.panels] for figure in figures},
    )


def _reflowing(panel: dict[str, Any]) -> dict[str, Any]:
    """As wide as its place on the page."""
    return panel | {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}


def _count(comparison: Comparison, level: str) -> int:
    return sum(row.verdict.level == level for row in comparison.rows)
