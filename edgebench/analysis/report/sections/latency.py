"""Latency of every row: p50 with its interval, p90 and p99."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows

PLACE = 120
_TEXT = "Bar: p50 with its 95 % interval. Tick marks: p90 and p99, as far as the axis reaches. Without invalid records."
# The axis reaches so many times beyond the longest bar: one rare pause must not shrink all bars to nothing.
_BEYOND = 2.0


def sections(comparison: Comparison) -> Iterator[PageSection]:
    figures = []
    for where, stem, rows in _rows.by_clock(comparison):
        drawn, more = _rows.cut(rows)
        said = _rows.sentence("p50", rows, _rows.p50_said) + more
        figures.append(Figure(f"latency{stem}", f"Latency{where}", said, (_panel(drawn),)))
    if figures:
        yield PageSection("Latency", _TEXT, figures=tuple(figures))


def _panel(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    base = alt.Chart(_drawing.ROWS).encode(y=_drawing.names())
    tip = _drawing.tips("artifact", **{name: f"{name} µs" for name in ("p50", "low", "high", "p90", "p99")})
    data = _data(rows)
    longest = _BEYOND * max(point["high"] for point in data)
    most = min(longest, max(point[field] or 0.0 for point in data for field in ("high", "p90", "p99")))
    scale = alt.Scale(domain=[0, most], nice=most < longest)
    bars = base.mark_bar(height=_drawing.BAR, yOffset=_drawing.BELOW, cornerRadiusEnd=2).encode(
        x=alt.X("p50:Q", title="latency of one inference, µs", scale=scale, axis=alt.Axis(tickCount=6)),
        color=alt.Color("precision:N", title="precision", legend=_drawing.WIDE_LEGEND),
        tooltip=tip,
    )
    interval = base.mark_rule(strokeWidth=2, yOffset=_drawing.BELOW).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    ticks = [
        base.mark_tick(thickness=thickness, size=14, clip=True, yOffset=_drawing.BELOW).encode(
            x=alt.X(f"{name}:Q"), tooltip=tip
        )
        for name, thickness in (("p90", 1.5), ("p99", 3))
    ]
    return _drawing.panel(alt.layer(bars, interval, *ticks), data, height=_drawing.ROW * len(rows))


def _data(rows: Sequence[ComparisonRow]) -> list[dict[str, Any]]:
    data = []
    for row in rows:
        assert row.p50_ns
        data.append(
            {
                "artifact": _rows.name_of(row),
                "p50": _rows.short(row.p50_ns.value / 1e3),
                **_rows.ends(row.p50_ns.value, row.p50_ns.low, row.p50_ns.high, 1e3),
                "p90": row.p90_ns and _rows.short(row.p90_ns.value / 1e3),
                "p99": row.p99_ns and _rows.short(row.p99_ns.value / 1e3),
                "precision": row.record.artifact.precision,
            }
        )
    return data
