"""Bytes of every file on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows

PLACE = 220
_TEXT = "Bytes on disk (1 MB is 10^6)."


def sections(comparison: Comparison) -> Iterator[PageSection]:
    files = _files(comparison)
    if not files:
        return
    drawn, more = _rows.cut(list(files.items()))
    said = _rows.sentence("Sizes", list(files.items()), _said)
    figure = Figure("sizes", "Size of the files", said, (_panel(dict(drawn)),))
    yield PageSection("Size of the files", _TEXT + more, figures=(figure,))


def _said(named: tuple[str, ComparisonRow]) -> str:
    return f"{named[0]} {formatting.size(named[1].record.artifact.size_bytes)}"


def _files(comparison: Comparison) -> dict[str, ComparisonRow]:
    """Every file once, however often it was measured; files of the same name are distinguished like rows."""
    files: dict[tuple[str, str], ComparisonRow] = {}
    for row in comparison.rows:
        files.setdefault((row.record.artifact.name, row.record.artifact.sha256), row)
    names = [name for name, _ in files]
    return {name if names.count(name) == 1 else _rows.name_of(row): row for (name, _), row in files.items()}


def _panel(files: Mapping[str, ComparisonRow]) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    data = [
        {
            "artifact": name,
            "kB": row.record.artifact.size_bytes / 1e3,
            "precision": row.record.artifact.precision,
        }
        for name, row in files.items()
    ]
    chart = (
        alt.Chart(_drawing.ROWS)
        .mark_bar(height=_drawing.BAR, yOffset=_drawing.BELOW, cornerRadiusEnd=2)
        .encode(
            x=alt.X("kB:Q", title="kB", axis=alt.Axis(tickCount=6)),
            y=_drawing.names(),
            color=alt.Color("precision:N", title="precision", legend=_drawing.WIDE_LEGEND),
            tooltip=_drawing.tips("artifact", kB="kB"),
        )
    )
    return _drawing.panel(chart, data, height=_drawing.ROW * len(data))
