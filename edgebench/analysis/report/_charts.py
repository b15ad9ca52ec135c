"""The charts of a comparison, as Vega-Lite specifications that include their data.

Emulated and real times never share a chart; invalid records appear in none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from edgebench.analysis import stats
from edgebench.analysis.chart_style import COLOURS, LABELS, LEGEND, sized
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.record_statistics import SHARES

# For all curves together: more would make a page of many records large and slow.
_POINTS = 12_000
_CURVE_POINTS_MIN = 12
_ROWS = alt.NamedData(name="rows")

Data = list[dict[str, Any]]
# Data is added to the finished chart: altair would inspect every number, which takes minutes.
Drawn = tuple[Any, Data]


def charts(comparison: Comparison) -> list[tuple[str, str, dict[str, Any]]]:
    """(heading, what it shows, specification) for everything that has data."""
    found: list[tuple[str, str, Drawn]] = []
    for emulated in (False, True):
        rows = [row for row in comparison.rows if _is_drawn(row) and row.record.target.emulated == emulated]
        if rows:
            found += _of_times(rows, " (emulated clock, not a device's times)" if emulated else "")
        if not emulated and any(_is_scored(row) for row in rows):
            found.append(("Accuracy against latency", _TRADE_TEXT, _trade(rows)))
    if comparison.rows:
        found.append(("Size of the files", "Bytes on disk (1 MB is 10^6).", _sizes(comparison.rows)))
    return [(heading, text, _with_data(*drawn)) for heading, text, drawn in found]


def _is_scored(row: ComparisonRow) -> bool:
    parity = row.record.artifact.parity
    return parity is not None and parity.accuracy is not None


def _is_drawn(row: ComparisonRow) -> bool:
    return row.p50_ns is not None and row.verdict.level != "invalid"


def _of_times(rows: Sequence[ComparisonRow], where: str) -> list[tuple[str, str, Drawn]]:
    found = [(f"Latency{where}", _LATENCY_TEXT, _latency(rows))]
    single = [row for row in rows if not row.record.means_only]
    if single:
        points = min(max(_POINTS // len(single), _CURVE_POINTS_MIN), len(SHARES))
        text = _CURVE_TEXT if points == len(SHARES) else f"{_CURVE_TEXT} Thinned to {points} points a curve or fewer."
        found.append((f"Every latency{where}", text, _curves(single, points)))
    if any(row.record.plan.sustained for row in rows):
        found.append((f"Latency over time{where}", _TIME_TEXT, _over_time(rows)))
    return found


def _with_data(chart: Any, data: Data) -> dict[str, Any]:
    found: dict[str, Any] = chart.to_dict()
    return found | {"datasets": {_ROWS.name: data}}


_LATENCY_TEXT = "Bar: p50 with its 95 % interval. Tick marks: p90 and p99. Invalid records are left out."
_CURVE_TEXT = "Share of inferences that took at most this long; a steep curve is steady. Log scale."
_TIME_TEXT = "Median of every two seconds of work without a rest, from the first inference on."
_TRADE_TEXT = (
    "Top-1 accuracy with its 95 % interval (Wilson) against p50. Up and left is better; area is the file's size."
)


def _label(row: ComparisonRow) -> str:
    return f"{row.name} · {row.record.target.name}" + " (means)" * row.record.means_only


def _latency(rows: Sequence[ComparisonRow]) -> Drawn:
    data: Data = []
    for row in rows:
        assert row.p50_ns
        data.append(
            {
                "artifact": _label(row),
                "p50": row.p50_ns.value / 1e3,
                "low": (row.p50_ns.low or row.p50_ns.value) / 1e3,
                "high": (row.p50_ns.high or row.p50_ns.value) / 1e3,
                "p90": row.p90_ns and row.p90_ns.value / 1e3,
                "p99": row.p99_ns and row.p99_ns.value / 1e3,
                "precision": row.record.artifact.precision,
            }
        )
    base = alt.Chart(_ROWS).encode(y=alt.Y("artifact:N", sort=None, title=None, axis=LABELS))
    tip = [alt.Tooltip(f"{name}:Q", format=".4~g", title=f"{name} µs") for name in ("p50", "low", "high", "p90", "p99")]
    bars = base.mark_bar(height=14, cornerRadiusEnd=2).encode(
        x=alt.X("p50:Q", title="latency of one inference, µs"),
        color=alt.Color("precision:N", scale=alt.Scale(range=COLOURS), title="precision"),
        tooltip=[alt.Tooltip("artifact:N"), *tip],
    )
    interval = base.mark_rule(strokeWidth=2, color="#222").encode(x="low:Q", x2="high:Q")
    ticks = [
        base.mark_tick(thickness=2, size=14, color=colour).encode(x=f"{name}:Q", tooltip=tip)
        for name, colour in (("p90", "#555"), ("p99", "#999"))
    ]
    return sized(alt.layer(bars, interval, *ticks), height=34 * len(rows)), data


def _curves(rows: Sequence[ComparisonRow], points: int) -> Drawn:
    step = math.ceil(len(SHARES) / points)
    data: Data = []
    for row in rows:
        label = _label(row)
        for share, value in zip(SHARES[::step], row.curve_ns[::step], strict=True):
            data.append({"artifact": label, "share": round(share, 4), "us": float(f"{value / 1e3:.5g}")})
    chart = (
        alt.Chart(_ROWS)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("us:Q", scale=alt.Scale(type="log", nice=False), title="latency of one inference, µs"),
            y=alt.Y("share:Q", title="share of inferences", axis=alt.Axis(format="%")),
            color=alt.Color("artifact:N", sort=None, scale=alt.Scale(range=COLOURS), title=None, legend=LEGEND),
            tooltip=["artifact:N", alt.Tooltip("us:Q", title="µs"), alt.Tooltip("share:Q", format=".1%")],
        )
    )
    return sized(chart, height=260), data


def _over_time(rows: Sequence[ComparisonRow]) -> Drawn:
    data: Data = []
    for row in rows:
        record = row.record
        if record.plan.sustained:
            started_ns = min(one.start_ns for one in (*record.warmup, *record.rounds))
            medians = stats.round_quantiles_ns(record.rounds, 0.5)
            for round_, median_ns in zip(record.rounds, medians, strict=True):
                data.append(
                    {
                        "artifact": _label(row),
                        "s": round((round_.start_ns - started_ns) / 1e9, 1),
                        "us": float(f"{median_ns / 1e3:.5g}"),
                        "celsius": round_.temperature_c,
                    }
                )
    chart = (
        alt.Chart(_ROWS)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("s:Q", title="s since the first inference"),
            y=alt.Y("us:Q", title="p50, µs", scale=alt.Scale(zero=False)),
            color=alt.Color("artifact:N", sort=None, scale=alt.Scale(range=COLOURS), title=None, legend=LEGEND),
            tooltip=["artifact:N", "s:Q", alt.Tooltip("us:Q", title="µs"), alt.Tooltip("celsius:Q", title="°C")],
        )
    )
    return sized(chart, height=220), data


def _trade(rows: Sequence[ComparisonRow]) -> Drawn:
    data: Data = []
    for row in rows:
        parity = row.record.artifact.parity
        if parity and parity.accuracy is not None and row.p50_ns:
            low, high = stats.wilson_interval(parity.accuracy * parity.images, parity.images)
            data.append(
                {
                    "artifact": _label(row),
                    "us": row.p50_ns.value / 1e3,
                    "accuracy": parity.accuracy,
                    "low": low,
                    "high": high,
                    "bytes": row.record.artifact.size_bytes,
                }
            )
    base = alt.Chart(_ROWS).encode(
        x=alt.X("us:Q", title="p50, µs", scale=alt.Scale(type="log", nice=False, padding=30)),
        color=alt.Color("artifact:N", sort=None, scale=alt.Scale(range=COLOURS), title=None, legend=LEGEND),
    )
    points = base.mark_circle(opacity=0.85).encode(
        y=alt.Y("accuracy:Q", title="top-1 accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format=".1%")),
        size=alt.Size("bytes:Q", legend=None, scale=alt.Scale(range=[80, 500])),
        tooltip=["artifact:N", alt.Tooltip("accuracy:Q", format=".2%"), alt.Tooltip("us:Q", format=".4~g")],
    )
    return sized(alt.layer(base.mark_rule().encode(y="low:Q", y2="high:Q"), points), height=260), data


def _sizes(rows: Sequence[ComparisonRow]) -> Drawn:
    """Every file once, however often it was measured; files of the same name are distinguished like rows."""
    files: dict[tuple[str, str], ComparisonRow] = {}
    for row in rows:
        files.setdefault((row.record.artifact.name, row.record.artifact.sha256), row)
    names = [name for name, _ in files]
    data = [
        {
            "artifact": name if names.count(name) == 1 else _label(row),
            "kB": row.record.artifact.size_bytes / 1e3,
            "precision": row.record.artifact.precision,
        }
        for (name, _), row in files.items()
    ]
    chart = (
        alt.Chart(_ROWS)
        .mark_bar(height=14, cornerRadiusEnd=2)
        .encode(
            x=alt.X("kB:Q", title="kB"),
            y=alt.Y("artifact:N", sort=None, title=None, axis=LABELS),
            color=alt.Color("precision:N", scale=alt.Scale(range=COLOURS), title="precision"),
            tooltip=["artifact:N", alt.Tooltip("kB:Q", format=".4~g")],
        )
    )
    return sized(chart, height=26 * len(data)), data
