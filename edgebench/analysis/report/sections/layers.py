"""Where the time goes, layer by layer: an INT8 file beside the float one of its network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import layer_pairs, layer_report
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.layer_pairs import LayerPair
from edgebench.analysis.report.sections import Figure, PageSection, PageTable, _rows
from edgebench.schema import names
from edgebench.schema.record import Record

PLACE = 300
_TEXT = (
    "By each runtime's own profiler, or layer by layer where it has none, in a pass of its own. Conversions (between "
    "float and integers, of layout) have rows of their own."
)


_DRAWN_TEXT = (
    " Drawn are the layers that differ most: circle: the float file; square: the other one; what only one of them has "
    "has one mark."
)
_MOST_LAYERS = 16


def sections(comparison: Comparison) -> Iterator[PageSection]:
    records = [row.record for row in comparison.rows]
    tables = [
        PageTable(found.title, found.headings, found.rows, found.sums, words=2, note=found.caption)
        for found in layer_report.tables(records)
    ]
    if tables:
        remarks = tuple(("note", reason) for reason in layer_report.missing(records))
        figures = tuple(_figures(records))
        text = _TEXT + (_DRAWN_TEXT if figures else "")
        yield PageSection("Layer by layer", text, remarks, tuple(tables), figures)


def _figures(records: Sequence[Record]) -> Iterator[Figure]:
    for float_, other in layer_report.side_by_side(records):
        if float_ is None or float_.layers is None or other.layers is None:
            continue
        pairs = layer_pairs.pairs(float_.layers.layers, other.layers.layers)
        largest = sorted(pairs, key=lambda pair: -abs(pair.gained_ns))[:_MOST_LAYERS]
        ranked = sorted(largest, key=lambda pair: -pair.gained_ns)
        where = f"{other.artifact.name} on {other.target.name} in {other.runtime.name}"
        said = _rows.sentence(f"Saved by {where} against {float_.artifact.name} in each layer", ranked, _said)
        name = names.safe(f"layers-{other.target.name}-{other.runtime.name}-{other.artifact.name}")
        yield Figure(name, where, said, (_panel(ranked, float_.artifact.precision, other.artifact.precision),))


def _said(pair: LayerPair) -> str:
    return f"{pair.name} {pair.gained_ns / 1e3:+.1f} µs"


def _panel(pairs: Sequence[LayerPair], first: str, second: str) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    data = [point for number, pair in enumerate(pairs) for point in _points(pair, number, first, second)]
    base = alt.Chart(_drawing.ROWS).encode(y=_drawing.names(field="layer"))
    x = alt.X("us:Q", title="time of the layer, µs", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=6))
    kinds: dict[str, Any] = {"title": None, "legend": _drawing.WIDE_LEGEND}
    between = base.mark_rule(strokeWidth=2, style="faint", yOffset=_drawing.BELOW).encode(
        x=alt.X("min(us):Q"), x2=alt.X2("max(us):Q")
    )
    points = base.mark_point(filled=True, size=90, opacity=1, yOffset=_drawing.BELOW).encode(
        x=x,
        color=alt.Color("file:N", scale=alt.Scale(domain=[first, second]), **kinds),
        shape=alt.Shape("file:N", scale=alt.Scale(domain=[first, second], range=["circle", "square"]), **kinds),
        tooltip=_drawing.tips("layer", "file", "kind", us="µs"),
    )
    return _drawing.panel(alt.layer(between, points), data, height=_drawing.ROW * len(pairs))


def _points(pair: LayerPair, number: int, first: str, second: str) -> Iterator[dict[str, Any]]:
    """Numbered, as names of layers may occur twice."""
    name = f"{number + 1}. {pair.name}: saved {pair.gained_ns / 1e3:+.1f} µs"
    for file, layer in ((first, pair.first), (second, pair.second)):
        if layer is not None:
            yield {"layer": name, "file": file, "kind": layer.kind, "us": _rows.short(layer.ns / 1e3)}
