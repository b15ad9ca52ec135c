"""Single latencies of every row, with p50 and its interval: what a bar hides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows

PLACE = 125
_TEXT = (
    "Each dot is one inference as it was measured: evenly spaced ranks of every round, with the fastest and the "
    "slowest of all; its height means nothing. Diamond and line: p50 with its 95 % interval. Log scale."
)
_POINTS = 4_000
_MOST = 24
# A sequence that fills the band evenly without a pattern (the fractional parts of multiples of the golden ratio).
_GOLDEN = 0.6180339887


def sections(comparison: Comparison) -> Iterator[PageSection]:
    figures = []
    for where, stem, rows in _rows.by_clock(comparison):
        single = [row for row in rows if row.sample_ns]
        if single:
            drawn, more = _rows.cut(single, _MOST)
            said = _rows.sentence("From the fastest to the slowest inference", single, _said) + more
            figures.append(Figure(f"distributions{stem}", f"Single latencies{where}", said, (_panel(drawn),)))
    if figures:
        yield PageSection("Single latencies", _TEXT, figures=tuple(figures))


def _said(row: ComparisonRow) -> str:
    values = [ns for _, ns in row.sample_ns]
    return f"{_rows.name_of(row)} {formatting.time(min(values))} to {formatting.time(max(values))}"


def _panel(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    data = [point for place, row in enumerate(rows) for point in _points(row, place, _POINTS // len(rows))]
    range_us = [ns / 1e3 for row in rows for _, ns in row.sample_ns]
    base = alt.Chart(_drawing.ROWS)
    x = alt.X(
        "us:Q", title="latency of one inference, µs", scale=_drawing.log_scale(range_us), axis=_drawing.ticks(range_us)
    )
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[len(rows), 0], nice=False))
    dots = base.mark_circle(size=14, opacity=0.55).encode(
        x=x, y=y, tooltip=_drawing.tips("artifact", us="µs", round="round")
    )
    middle = base.mark_point(shape="diamond", filled=True, size=80, opacity=1, style="name").encode(
        x=alt.X("p50:Q"), y=y, tooltip=_drawing.tips("artifact", p50="p50 µs")
    )
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y)
    labels = (
        base.transform_filter("isValid(datum.p50)")
        .mark_text(align="left", limit=alt.expr("width"))
        .encode(x=alt.value(2), y=alt.Y("top:Q"), text=alt.Text("artifact:N"))
    )
    return _drawing.panel(alt.layer(dots, interval, middle, labels), data, height=54 * len(rows))


def _points(row: ComparisonRow, place: int, most: int) -> Iterator[dict[str, Any]]:
    """Bands are one unit high: the name at the top, dots below it."""
    assert row.p50_ns
    name = _rows.name_of(row)
    step = max(1, -(-len(row.sample_ns) // most))
    last = len(row.sample_ns) - 2  # the two extremes are always drawn
    for number, (round_, ns) in enumerate(row.sample_ns):
        if number % step == 0 or number >= last:
            y = place + 0.44 + 0.46 * (number * _GOLDEN % 1)
            yield {"artifact": name, "us": _rows.short(ns / 1e3), "y": round(y, 3), "round": round_}
    ends = _rows.ends(row.p50_ns.value, row.p50_ns.low, row.p50_ns.high, 1e3)
    centre = _rows.short(row.p50_ns.value / 1e3)
    yield {"artifact": name, "p50": centre, **ends, "y": place + 0.67, "top": place + 0.2}
