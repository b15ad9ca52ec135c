"""The charts that figures consist of. Bars always start at zero. This imports altair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from edgebench.analysis.chart_style import COLOURS, LABELS, LEGEND, WIDTH, styled
from edgebench.schema.estimate import Estimate
from edgebench.studies.study.results import VariantResults

ROW = 26
BAR = 14
MOST_TICKS = 8
MOST_COLOURS = 20
MOST_NUMBERED = 12  # with more classes the squares have no room for a number
LINES_HEIGHT = 240
FEW_TICKS = alt.Axis(tickCount=6)
WHISKER = {"strokeWidth": 1.4, "color": "#222", "clip": True}
_LABEL_PLACES: tuple[tuple[Literal["left", "right"], int, int], ...] = (
    ("left", 8, -7), ("left", 8, 9), ("right", -8, -7), ("right", -8, 9),
)  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """low, high: the whisker's ends, if it has one. group: bars of one group share a colour."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    group: str = ""


def bars(given: Sequence[Bar], *, value: str, width: int = WIDTH) -> Any:
    """Horizontal bars with whiskers; groups of one label stand below one another. value: title with the unit."""
    groups = list(dict.fromkeys(one.group for one in given))
    labels = list(dict.fromkeys(one.label for one in given))
    scale = alt.Scale(domain=_domain([0.0, *(one.value for one in given)], given), nice=True)
    place: dict[str, Any] = {"y": alt.Y("label:N", sort=labels, title=None, axis=LABELS)}
    if len(groups) > 1:
        place["yOffset"] = alt.YOffset("group:N", sort=groups)
    drawn = (
        _chart([{"label": one.label, "value": one.value, "group": one.group} for one in given])
        .mark_bar(cornerRadiusEnd=2, height={"band": 0.7})
        .encode(
            **place,
            x=alt.X("value:Q", title=value, scale=scale, axis=FEW_TICKS),
            color=_colour(groups),
            tooltip=["label:N", "group:N", alt.Tooltip("value:Q", format=",.4~g", title=value)],
        )
    )
    ends = [
        {"label": one.label, "low": one.low, "high": one.high, "group": one.group}
        for one in given
        if one.low is not None and one.high is not None
    ]
    whisker = alt.X("low:Q", title=value, scale=scale)
    whiskers = _chart(ends).mark_rule(**WHISKER).encode(**place, x=whisker, x2="high:Q")
    height = max(2, len(labels)) * max(ROW, BAR * len(groups))
    return alt.layer(drawn, whiskers).properties(width=width, height=height)


def estimates(
    variants: Sequence[tuple[str, VariantResults]], of: Callable[[VariantResults], Estimate | None]
) -> list[Bar]:
    """A bar with its interval for every variant that has the value."""
    found = [(label, of(variant)) for label, variant in variants]
    return [Bar(label, one.value, one.low, one.high) for label, one in found if one]


@dataclass(frozen=True)
class Point:
    """low, high: of y. order: a curve passes its points in this order."""

    x: float
    y: float
    group: str
    label: str = ""
    low: float | None = None
    high: float | None = None
    order: float = 0.0


def scatter(
    given: Sequence[Point], *, x: str, y: str, colours: dict[str, str] | None = None, crosses: Sequence[str] = ()
) -> Any:
    """Points with their labels and whiskers in y. crosses: groups whose points are drawn as crosses."""
    groups = list(dict.fromkeys(one.group for one in given))
    shapes = alt.Scale(domain=groups, range=["cross" if one in crosses else "circle" for one in groups])
    scale = alt.Scale(domain=_domain([one.y for one in given], given), padding=20)
    base = _points(given).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(zero=False, padding=40), axis=FEW_TICKS),
        y=alt.Y("y:Q", title=y, scale=scale, axis=FEW_TICKS),
        color=_colour(groups, colours, always=True),
    )
    drawn = base.mark_point(filled=True, size=90, opacity=0.9).encode(
        shape=alt.Shape("group:N", scale=shapes, title=None), tooltip=_tips(x, y)
    )
    # Four places around a point, in turn, so that labels of neighbours do not overlap.
    names = [
        base.transform_filter(alt.datum.number % len(_LABEL_PLACES) == turn)
        .mark_text(align=align, dx=right, dy=down, fontSize=10)
        .encode(text="label:N", color=alt.value("#444"))
        for turn, (align, right, down) in enumerate(_LABEL_PLACES)
    ]
    return alt.layer(_whiskers(base, y, scale), drawn, *names).properties(width=WIDTH, height=300)


def lines(
    given: Sequence[Point],
    *,
    x: str,
    y: str,
    zero: bool = False,
    points: bool = True,
    whole: bool = False,
    size: tuple[int, int] = (WIDTH, LINES_HEIGHT),
    colours: dict[str, str] | None = None,
) -> Any:
    """One line per group and label, drawn in the order of `order`, with whiskers where there are any.

    zero: y starts at zero. points: each is marked. whole: x takes whole numbers only. size: width and height.
    """
    width, height = size
    scale = alt.Scale(domain=_domain([one.y for one in given] + [0.0] * zero, given), nice=True)
    base = _points(given).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(zero=False), axis=_whole_numbers(given) if whole else FEW_TICKS),
        y=alt.Y("y:Q", title=y, scale=scale, axis=FEW_TICKS),
        color=_colour([one.group for one in given], colours, always=True),
    )
    curves = base.mark_line(strokeWidth=1.8, point=points).encode(
        detail="label:N", order="order:Q", tooltip=_tips(x, y)
    )
    return alt.layer(_whiskers(base, y, scale), curves).properties(width=width, height=height)


def cloud(given: Sequence[Point], *, size: int) -> Any:
    """Points in a plane whose axes mean nothing."""
    nameless = alt.Axis(labels=False, ticks=False, grid=False)
    chart = _points(given).mark_circle(size=22, opacity=0.75)
    return chart.encode(
        x=alt.X("x:Q", title=None, axis=nameless),
        y=alt.Y("y:Q", title=None, axis=nameless),
        color=_colour(sorted({one.group for one in given}), always=True),
        tooltip="group:N",
    ).properties(width=size, height=size)


def heat(counts: Sequence[Sequence[int]], names: Sequence[str], *, size: int) -> Any:
    """A confusion matrix: rows are classes, columns answers, shade and number are the share of the row in percent."""
    squares = [
        {"class": names[row], "answer": names[column], "share": 100 * count / max(1, sum(line)), "images": count}
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
    ]
    slanted, upright = alt.Axis(labelAngle=-60, labelLimit=110, grid=False), alt.Axis(labelLimit=110, grid=False)
    base = _chart(squares).encode(
        x=alt.X("answer:N", sort=list(names), title="answer", axis=slanted),
        y=alt.Y("class:N", sort=list(names), title="class", axis=upright),
    )
    shades = base.mark_rect().encode(
        color=alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 100]), title="% of the class"),
        tooltip=["class:N", "answer:N", "images:Q", alt.Tooltip("share:Q", format=".1f", title="% of the class")],
    )
    layers = [shades]
    if len(names) <= MOST_NUMBERED:
        ink = alt.when(alt.datum.share > 50).then(alt.value("white")).otherwise(alt.value("#333"))
        seen = base.transform_filter(alt.datum.share >= 0.5).mark_text(fontSize=9)
        layers.append(seen.encode(text=alt.Text("share:Q", format=".0f"), color=ink))
    return alt.layer(*layers).properties(width=size, height=size)


def alone(chart: Any) -> dict[str, Any]:
    """The specification of one chart."""
    return dict(styled(chart).to_dict())


def panels(charts: Sequence[tuple[str, Any]], *, columns: int = 1, own_colours: bool = False) -> dict[str, Any]:
    """The specification of several charts with a title each. own_colours: each has its own groups and legend."""
    titled = [chart.properties(title=alt.Title(title, anchor="start", fontSize=13)) for title, chart in charts]
    joined = alt.concat(*titled, columns=columns, spacing=24)
    if own_colours:
        joined = joined.resolve_scale(color="independent", shape="independent")
    return dict(styled(joined).to_dict())


# ------------------------------------------------------------------ pieces


def _chart(rows: Sequence[dict[str, Any]]) -> Any:
    return alt.Chart(alt.InlineData(values=list(rows)))


def _points(given: Sequence[Point]) -> Any:
    """Low and high are absent where a point has no interval: then nothing is drawn."""
    rows = []
    for number, one in enumerate(given):
        row = {"x": one.x, "y": one.y, "group": one.group, "label": one.label or one.group}
        row |= {"number": number, "order": one.order}
        if one.low is not None and one.high is not None:
            row |= {"low": one.low, "high": one.high}
        rows.append(row)
    return _chart(rows)


def _whiskers(base: Any, y: str, scale: Any) -> Any:
    """scale: that of the points; a scale of its own would include zero."""
    with_interval = base.transform_filter("isValid(datum.low)")
    ends = alt.Y("low:Q", title=y, scale=scale)
    return with_interval.mark_rule(strokeWidth=1.2, opacity=0.6, clip=True).encode(y=ends, y2="high:Q")


def _domain(values: Sequence[float], given: Sequence[Bar | Point]) -> list[float]:
    """All values, extended to the whiskers' ends, but at most by half of their range: those of two seeds are huge.

    A whisker that ends at the edge continues beyond it. The axis shows nothing below zero unless a value lies there.
    """
    low, high = min(values), max(values)
    room = (high - low) / 2 or abs(high) / 10 or 1.0
    least = min([low, *(one.low for one in given if one.low is not None)])
    most = max([high, *(one.high for one in given if one.high is not None)])
    floor = 0.0 if low >= 0 else low - room
    if least == most:
        least, most = low - room, high + room
    return [max(least, low - room, floor), min(most, high + room)]


def _tips(x: str, y: str) -> list[Any]:
    return ["label:N", alt.Tooltip("x:Q", format=",.4~g", title=x), alt.Tooltip("y:Q", format=",.4~g", title=y)]


def _colour(groups: Sequence[str], colours: dict[str, str] | None = None, *, always: bool = False) -> Any:
    """Each group's colour: its own if it has one, else the next. always: a legend for a single group as well.

    There is no legend for more groups than colours: then only tooltips tell them apart.
    """
    known = list(dict.fromkeys(groups))
    if len(known) > len(COLOURS):
        scale = alt.Scale(domain=known, scheme="category20")
    else:
        scale = alt.Scale(domain=known, range=[(colours or {}).get(one, COLOURS[at]) for at, one in enumerate(known)])
    useful = (always or len(known) > 1) and len(known) <= MOST_COLOURS
    return alt.Color("group:N", scale=scale, title=None, legend=LEGEND if useful else None)


def _whole_numbers(given: Sequence[Point]) -> Any:
    """An axis with at most MOST_TICKS of the values of x."""
    values = sorted({one.x for one in given})
    return alt.Axis(values=values[:: -(-len(values) // MOST_TICKS)], format="d")
