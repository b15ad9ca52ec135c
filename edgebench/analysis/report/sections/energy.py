"""Energy of an inference for each meter and scope, with its provenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.estimate import Estimate

PLACE = 210
_TEXT = (
    "Joules of one inference with their 95 % interval between windows: net, without the idle power, where it is known, "
    "else gross. Tick mark: gross. One row for each meter and what it measures; they cannot be added up."
)
_PROVENANCES = ("measured", "estimated", "modelled")
_SHAPES = ("circle", "square", "triangle-up")

Reading = tuple[ComparisonRow, EnergyPerInference]


def sections(comparison: Comparison) -> Iterator[PageSection]:
    found = [(row, one) for row in comparison.rows if row.verdict.level != "invalid" for one in row.energy]
    if not found:
        return
    drawn, more = _rows.cut(found)
    said = _rows.sentence("Energy of an inference", found, _said)
    figure = Figure("energy", "Energy of an inference", said, (_panel(drawn),))
    yield PageSection("Energy with its provenance", _TEXT + more, figures=(figure,))


def _said(reading: Reading) -> str:
    row, one = reading
    kind = "gross" if one.net_j is None else "net"
    return f"{_rows.name_of(row)} {_joules(one.shown_j)} {kind} ({one.meter} {one.scope}, {one.provenance})"


def _joules(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return formatting.joules(found.value)
    return f"{formatting.joules(found.value)} ({formatting.joules(found.low)} to {formatting.joules(found.high)})"


def _panel(found: Sequence[Reading]) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    data = [_point(*one) for one in found]
    base = alt.Chart(_drawing.ROWS).encode(y=_drawing.names())
    tip = _drawing.tips("artifact", "provenance", mJ="mJ", low="low mJ", high="high mJ", gross="gross mJ")
    x = alt.X("mJ:Q", title="energy of one inference, mJ", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6))
    interval = base.mark_rule(strokeWidth=2, yOffset=_drawing.BELOW).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    gross = base.mark_tick(thickness=2, size=14, yOffset=_drawing.BELOW).encode(x=alt.X("gross:Q"), tooltip=tip)
    provenance: dict[str, Any] = {"title": "provenance", "legend": _drawing.WIDE_LEGEND}
    points = base.mark_point(filled=True, size=110, opacity=1, yOffset=_drawing.BELOW).encode(
        x=x,
        color=alt.Color("provenance:N", sort=list(_PROVENANCES), scale=alt.Scale(domain=_PROVENANCES), **provenance),
        shape=alt.Shape("provenance:N", scale=alt.Scale(domain=_PROVENANCES, range=_SHAPES), **provenance),
        tooltip=tip,
    )
    return _drawing.panel(alt.layer(interval, gross, points), data, height=_drawing.ROW * len(data))


def _point(row: ComparisonRow, one: EnergyPerInference) -> dict[str, Any]:
    shown = one.shown_j
    return {
        "artifact": f"{_rows.name_of(row)}: {one.meter} {one.scope}, {one.provenance}",
        "provenance": one.provenance,
        "mJ": _rows.short(1e3 * shown.value),
        **_rows.ends(shown.value, shown.low, shown.high, 1e-3),
        "gross": _rows.short(1e3 * one.gross_j.value),
    }
