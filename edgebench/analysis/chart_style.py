"""How every chart looks. This imports altair, so only code that draws imports it."""

from __future__ import annotations

from typing import Any

import altair as alt

from edgebench.analysis import colours

WIDTH = 760
COLOURS = list(colours.LIGHT.marks)
LABELS = alt.Axis(labelLimit=320)
LEGEND = alt.Legend(orient="bottom", columns=2, labelLimit=300, symbolOpacity=1)


def styled(chart: Any) -> Any:
    """For the outermost chart only; its parts must not be styled."""
    return chart.configure_view(strokeWidth=0).configure_axis(grid=True)


def theme(scheme: colours.ColourScheme) -> dict[str, Any]:
    """The configuration of a specification that names no colours itself."""
    return _theme(scheme.ink, scheme.soft, scheme.line, list(scheme.marks), list(scheme.outcomes))


def page_theme() -> dict[str, Any]:
    """The same by the variables of a page, whose values follow the reader's scheme."""
    marks = [f"var(--mark{number})" for number in range(len(colours.LIGHT.marks))]
    outcomes = [f"var(--outcome{number})" for number in range(len(colours.LIGHT.outcomes))]
    found = _theme("var(--ink)", "var(--soft)", "var(--line)", marks, outcomes)
    return found | {"font": "system-ui, sans-serif", "aria": False}


def _theme(ink: str, soft: str, line: str, marks: list[str], outcomes: list[str]) -> dict[str, Any]:
    words = {"labelColor": soft, "titleColor": soft, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500}
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": {**words, "gridColor": line, "domainColor": soft, "tickColor": soft, "labelOverlap": True},
        "legend": {**words, "symbolSize": 90, "symbolBaseFillColor": soft, "symbolBaseStrokeColor": soft},
        "title": {"color": ink, "anchor": "start", "fontSize": 14},
        "range": {"category": marks, "ordinal": outcomes},
        "mark": {"color": marks[0]},
        "rule": {"color": ink},
        "tick": {"color": soft},
        "text": {"color": ink, "fontSize": 12},
        "style": {"faint": {"color": soft}, "band": {"color": line}, "name": {"color": ink}},
    }
