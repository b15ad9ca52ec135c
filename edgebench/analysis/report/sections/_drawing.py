"""What the charts of a report share. This imports altair.

Every chart fits a telephone: names stand above their bars, not beside them, and the page decides how wide it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from edgebench.analysis.chart_style import WIDTH
from edgebench.analysis.report.sections import _rows

Data = list[dict[str, Any]]
ROWS = alt.NamedData(name="rows")
ROW = 40
# Below the name, in the same band.
BELOW = 8
BAR = 12
LEGEND = alt.Legend(orient="bottom", columns=alt.expr("width < 500 ? 1 : 2"), labelLimit=280, symbolOpacity=1)
WIDE_LEGEND = alt.Legend(orient="bottom", columns=3, labelLimit=200, symbolOpacity=1)


def panel(chart: Any, data: Data, *, height: int) -> dict[str, Any]:
    """A specification with its data. They are added to the finished chart: altair would inspect every number."""
    found: dict[str, Any] = chart.properties(width=WIDTH, height=height).to_dict(validate=False)
    found.pop("config", None)
    return found | {"datasets": {**found.get("datasets", {}), ROWS.name: data}}


def names(sort: Sequence[str] | None = None, field: str = "artifact") -> Any:
    """A band for each row, with its name at the top of the band."""
    axis = alt.Axis(
        title=None, labelAlign="left", labelPadding=0, labelOffset=-BELOW - 4, labelLimit=alt.expr("width"),
        labelFontSize=12, labelColor=alt.Undefined, domain=False, ticks=False, grid=False, zindex=1,
    )  # fmt: skip
    return alt.Y(f"{field}:N", sort=sort, axis=axis, scale=alt.Scale(paddingInner=0, paddingOuter=0))


def tips(*words: str, **numbers: str) -> list[Any]:
    """What is shown on hover. words: fields; numbers: titles, by field."""
    shown = [alt.Tooltip(f"{field}:Q", title=title, format=".4~g") for field, title in numbers.items()]
    return [*(alt.Tooltip(f"{field}:N") for field in words), *shown]


def log_scale(values: Sequence[float]) -> Any:
    """From below the least to above the most, so that whole marks fit; a single value gets room too."""
    low, high = min(values), max(values)
    room = max(1.03, (high / low) ** 0.04)
    return alt.Scale(type="log", domain=[_rows.short(low / room), _rows.short(high * room)], nice=False)


def ticks(scale_values: Sequence[float]) -> Any:
    """Of a logarithmic axis: 1, 2 and 5 of every power of ten within it, or evenly if it spans less than that."""
    low, high = min(scale_values), max(scale_values)
    places = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [lead * 10.0**place for place in places for lead in (1, 2, 5)]
    within = [value for value in found if low <= value <= high]
    return alt.Axis(values=within, format=",.4~r") if len(within) >= 3 else alt.Axis(tickCount=5, format=",.3~r")
