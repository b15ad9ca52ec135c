"""Ratios to the baseline with their intervals, one figure for each target."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows
from edgebench.schema import names

PLACE = 110
_OUTCOMES = ("different", "equivalent", "not resolved")


def sections(comparison: Comparison) -> Iterator[PageSection]:
    rows = [row for row in comparison.rows if row.ratio is not None and not row.is_baseline]
    figures = []
    for target in dict.fromkeys(row.record.target.name for row in rows):
        found = sorted((row for row in rows if row.record.target.name == target), key=_log)
        base = {f"{row.baseline.artifact.name} on {row.baseline.target.name}" for row in found if row.baseline}
        against = base.pop() if len(base) == 1 else "each row's baseline"
        drawn, more = _rows.cut(found)
        said = _rows.sentence(f"Time on {target} over that of {against}", found, _said) + more
        panel = _panel(drawn, comparison.margin)
        figures.append(Figure(f"ratios-{names.safe(target)}", f"{target}: time over that of {against}", said, (panel,)))
    if figures:
        yield PageSection("Ratios to the baseline", _text(comparison.margin), figures=tuple(figures))


def _text(margin: float) -> str:
    return (
        f"Point: the ratio; line: its 95 % interval; band: within {100 * margin:.2g} % of 1. Circle: different; "
        "square: equivalent; cross: not resolved. Left of 1 is faster. Log scale, fastest first."
    )


def _log(row: ComparisonRow) -> float:
    return math.log(row.ratio.value) if row.ratio else 0.0


def _said(row: ComparisonRow) -> str:
    return f"{row.name} {formatting.ratio(row)}"


def _short(row: ComparisonRow) -> str:
    """For a label on a telephone; the mark's shape says that it is not resolved."""
    return formatting.ratio(row).removeprefix("not resolved: ")


def _panel(rows: Sequence[ComparisonRow], margin: float) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    data = [_point(row) for row in rows]
    range_ = [1 / (1 + 2 * margin), 1 + 2 * margin, *(one[end] for one in data for end in ("low", "high", "ratio"))]
    scale = _drawing.log_scale(range_)
    x = alt.X("ratio:Q", title="time / baseline", scale=scale, axis=_drawing.ticks(range_))
    base = alt.Chart(_drawing.ROWS).encode(y=_drawing.names())
    band = (
        alt.Chart(alt.InlineData(values=[{"from": 1 / (1 + margin), "to": 1 + margin}]))
        .mark_rect(style="band", opacity=0.8)
        .encode(x=alt.X("from:Q", scale=scale), x2=alt.X2("to:Q"))
    )
    # In each row, so that it does not run through the names.
    one = base.mark_tick(size=20, thickness=1, yOffset=_drawing.BELOW).encode(x=alt.XDatum(1))
    interval = base.mark_rule(strokeWidth=2, yOffset=_drawing.BELOW).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    outcome: dict[str, Any] = {"title": "outcome", "legend": _drawing.WIDE_LEGEND}
    points = base.mark_point(filled=True, size=110, opacity=1, yOffset=_drawing.BELOW).encode(
        x=x,
        color=alt.Color("outcome:N", scale=alt.Scale(domain=_OUTCOMES, range="ordinal"), **outcome),
        shape=alt.Shape("outcome:N", scale=alt.Scale(domain=_OUTCOMES, range=["circle", "square", "cross"]), **outcome),
        tooltip=_drawing.tips("artifact", "outcome", ratio="ratio", low="low", high="high"),
    )  # fmt: skip
    return _drawing.panel(alt.layer(band, one, interval, points), data, height=_drawing.ROW * len(rows))


def _point(row: ComparisonRow) -> dict[str, Any]:
    assert row.ratio is not None
    return {
        "artifact": f"{row.name}: {_short(row)}",
        "ratio": _rows.short(row.ratio.value),
        **_rows.ends(row.ratio.value, row.ratio.low, row.ratio.high, 1.0),
        "outcome": row.outcome,
    }
