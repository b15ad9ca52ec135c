"""Every latency as the share of inferences that took at most so long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.record_statistics import SHARES
from edgebench.analysis.report.sections import Figure, PageSection, _rows

PLACE = 130
_TEXT = "Share of inferences that took at most this long; a steep curve is steady. Log scale."
# For all curves together: more would make a page of many records large and slow.
_POINTS = 6_000
_CURVE_POINTS_MIN = 40
_MOST = 24


def sections(comparison: Comparison) -> Iterator[PageSection]:
    figures = []
    for where, stem, rows in _rows.by_clock(comparison):
        single = [row for row in rows if row.curve_ns]
        if single:
            drawn, more = _rows.cut(single, _MOST)
            points = min(max(_POINTS // len(drawn), _CURVE_POINTS_MIN), len(SHARES))
            said = _rows.sentence("Half, 90 % and 99 % of the inferences are done within", single, _said) + more
            figures.append(Figure(f"curves{stem}", f"Every latency{where}", said, (_panel(drawn, points),)))
    if figures:
        yield PageSection("Every latency", _TEXT, figures=tuple(figures))


def _said(row: ComparisonRow) -> str:
    known = [formatting.time(one.value) for one in (row.p50_ns, row.p90_ns, row.p99_ns) if one]
    return f"{_rows.name_of(row)} {' / '.join(known)}"


def _panel(rows: Sequence[ComparisonRow], points: int) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    step = math.ceil(len(SHARES) / points)
    data = [
        {"artifact": _rows.name_of(row), "share": round(share, 4), "us": _rows.short(value / 1e3)}
        for row in rows
        for share, value in zip(SHARES[::step], row.curve_ns[::step], strict=True)
    ]
    range_us = [end / 1e3 for row in rows for end in (row.curve_ns[0], row.curve_ns[-1])]
    dashes = [[(1, 0), (6, 2), (2, 2)][number % 3] for number in range(len(rows))]
    chart = (
        alt.Chart(_drawing.ROWS)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X(
                "us:Q", title="latency of one inference, µs", scale=_drawing.log_scale(range_us),
                axis=_drawing.ticks(range_us),
            ),
            y=alt.Y("share:Q", title="share of inferences", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("artifact:N", sort=None, title=None, legend=_drawing.LEGEND),
            strokeDash=alt.StrokeDash("artifact:N", sort=None, title=None, scale=alt.Scale(range=dashes)),
            tooltip=[alt.Tooltip("artifact:N"), alt.Tooltip("us:Q", title="µs"), alt.Tooltip("share:Q", format=".1%")],
        )
    )  # fmt: skip
    return _drawing.panel(chart, data, height=260)
