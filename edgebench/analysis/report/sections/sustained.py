"""Latency without a rest over minutes, with the temperature and the clock meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting, latency_patterns, stats
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows
from edgebench.schema.record import Record

PLACE = 160
_TEXT = "Median of every two seconds of work without a rest, from the first inference on."
# Field, title of its axis; a panel for each that was seen.
_SEEN = (("us", "p50, µs"), ("celsius", "temperature, °C"), ("ghz", "lowest clock, GHz"))
_MOST = 12
_POINTS = 8_000


def sections(comparison: Comparison) -> Iterator[PageSection]:
    figures = []
    for where, stem, rows in _rows.by_clock(comparison):
        found = [row for row in rows if row.record.plan.sustained and row.record.rounds]
        if found:
            drawn, more = _rows.cut(found, _MOST)
            said = _rows.sentence("The last minute's p50 over the first minute's", found, _said) + more
            figures.append(Figure(f"sustained{stem}", f"Latency over time{where}", said, tuple(_panels(drawn))))
    if figures:
        yield PageSection("Latency over time", _TEXT, figures=tuple(figures))


def _said(row: ComparisonRow) -> str:
    over_time = latency_patterns.sustained(row.record)
    assert over_time is not None
    minutes = f"{formatting.time(over_time.p50_ns[0])} to {formatting.time(over_time.p50_ns[-1])}"
    warm = [one.temperature_c for one in row.record.rounds if one.temperature_c is not None]
    heat = f", at most {max(warm):.0f} °C" if warm else ""
    return f"{_rows.name_of(row)} {over_time.slowdown:.2f}x ({minutes}{heat})"


def _panels(rows: Sequence[ComparisonRow]) -> Iterator[dict[str, Any]]:
    from edgebench.analysis.report.sections import _drawing

    points = {_rows.name_of(row): list(_points(row.record, _POINTS // len(rows))) for row in rows}
    last = max(point["s"] for found in points.values() for point in found)
    seen = [one for one in _SEEN if any(point[one[0]] is not None for found in points.values() for point in found)]
    for field, title in seen:
        data = [
            {"artifact": name, "s": point["s"], field: point[field]}
            for name, found in points.items()
            for point in found
            if point[field] is not None
        ]
        is_last = field == seen[-1][0]
        yield _panel(data, field, title, last, legend=_drawing.LEGEND if is_last else None)


def _points(record: Record, most: int) -> Iterator[dict[str, Any]]:
    started_ns = min(one.start_ns for one in (*record.warmup, *record.rounds))
    step = max(1, -(-len(record.rounds) // most))
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    for round_, median_ns in list(zip(record.rounds, medians, strict=True))[::step]:
        yield {
            "s": round((round_.start_ns - started_ns) / 1e9, 1),
            "us": _rows.short(median_ns / 1e3),
            "celsius": round_.temperature_c,
            "ghz": None if round_.clock_hz is None else _rows.short(round_.clock_hz / 1e9),
        }


def _panel(data: list[dict[str, Any]], field: str, title: str, last_s: float, *, legend: Any) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    dashes = [[(1, 0), (6, 2), (2, 2)][number % 3] for number in range(_MOST)]
    axis = alt.Axis(tickCount=4, minExtent=48, format=",.4~r")
    chart = (
        alt.Chart(_drawing.ROWS)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("s:Q", title="s since the first inference", scale=alt.Scale(domain=[0, last_s])),
            y=alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=False), axis=axis),
            color=alt.Color("artifact:N", sort=None, title=None, legend=legend),
            strokeDash=alt.StrokeDash(
                "artifact:N", sort=None, title=None, legend=legend, scale=alt.Scale(range=dashes)
            ),
            tooltip=_drawing.tips("artifact", s="s", **{field: title}),
        )
    )
    return _drawing.panel(chart, data, height=200 if field == "us" else 110)
