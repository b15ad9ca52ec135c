"""How every chart looks. This imports altair, so only code that draws imports it."""

from __future__ import annotations

from typing import Any

import altair as alt

WIDTH = 760
COLOURS = ["#2c6fbb", "#d1495b", "#2e8b57", "#edae49", "#6a4c93", "#00798c", "#8d6e63", "#546e7a"]
LABELS = alt.Axis(labelLimit=320)
LEGEND = alt.Legend(orient="bottom", columns=2, labelLimit=300, symbolOpacity=1)


def sized(chart: Any, *, height: int, width: int = WIDTH) -> Any:
    """px, without the axes' labels."""
    return styled(chart.properties(width=width, height=height))


def styled(chart: Any) -> Any:
    """For the outermost chart only; its parts must not be styled."""
    return chart.configure_view(strokeWidth=0).configure_axis(grid=True)
