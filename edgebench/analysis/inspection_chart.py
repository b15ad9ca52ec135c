"""Sizes and errors of an inspected file's layers as a picture."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from edgebench.analysis.chart_style import COLOURS, LABELS, LEGEND, WIDTH, styled
from edgebench.analysis.inspection_report import MOST_ROWS, layer_name
from edgebench.schema.inspection import Inspection, Layer


def svg(found: Inspection) -> str:
    """Bytes of weights of each layer, and beside them its SQNR if it was compared with the fp32 file."""
    with_weights = [layer for layer in found.network.layers if layer.weights_bytes][:MOST_ROWS]
    compared = [layer for layer in found.network.layers if layer.sqnr_db is not None][:MOST_ROWS]
    charts = [_sizes(with_weights)] + ([_errors(compared)] if compared else [])
    whole = styled(alt.vconcat(*charts, title=found.file).resolve_scale(color="independent"))
    text: str = vl_convert.vegalite_to_svg(whole.to_dict())
    return text


def _sizes(layers: list[Layer]) -> Any:
    rows = [_row(layer) | {"bytes": layer.weights_bytes, "weights": layer.weights_dtype} for layer in layers]
    return _bars(
        rows,
        x=alt.X("bytes:Q", title="bytes of weights"),
        colour=alt.Color("weights:N", scale=alt.Scale(range=COLOURS), legend=LEGEND),
    )


def _errors(layers: list[Layer]) -> Any:
    rows = [_row(layer) | {"sqnr_db": layer.sqnr_db, "runs as": layer.arithmetic} for layer in layers]
    return _bars(
        rows,
        x=alt.X("sqnr_db:Q", title="SQNR against the fp32 file, dB (higher is better)"),
        colour=alt.Color("runs as:N", scale=alt.Scale(range=COLOURS[2:]), legend=LEGEND),
    )


def _row(layer: Layer) -> dict[str, Any]:
    return {"layer": f"{layer.number} {layer_name(layer, 44)}"}


def _bars(rows: list[dict[str, Any]], *, x: Any, colour: Any) -> Any:
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(height=11, cornerRadiusEnd=2)
        .encode(x=x, y=alt.Y("layer:N", sort=None, title=None, axis=LABELS), color=colour)
        .properties(width=WIDTH, height=max(1, 18 * len(rows)))
    )
