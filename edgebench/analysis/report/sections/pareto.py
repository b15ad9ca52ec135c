"""What there is to choose between: accuracy against latency, size and energy, with dominated files greyed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _front, _rows
from edgebench.analysis.report.sections._front import ParetoPoint
from edgebench.schema import names

PLACE = 140
_HEADING = "Accuracy against latency, size and energy"
_TEXT = (
    "Filled: on the front. Grey cross: dominated, as another file is no worse in any of these quantities and better in "
    "one beyond its interval. Lines: 95 % intervals. Up and left is better; log scale."
)
_MOST_NAMED = 8
# Quantity, title of its axis, what to divide by.
_COSTS = (("latency", "p50, ms", 1e6), ("size", "size, MB", 1e6), ("energy", "net energy, mJ", 1e-3))
# Where a name stands from its point, and how far away.
_SIDES: tuple[tuple[Literal["left", "right"], int], ...] = (("left", 4), ("right", -4))
_STANDINGS = ("on the front", "dominated")


def sections(comparison: Comparison) -> Iterator[PageSection]:
    figures = []
    for where, stem, rows in _rows.by_clock(comparison):
        for (target, metric), candidates in _groups(rows).items():
            figures.append(_figure(f"{target}{where}", f"pareto{stem}-{names.safe(target)}", metric, candidates))
    if figures:
        yield PageSection(_HEADING, _TEXT, figures=tuple(figures))


def _groups(rows: Sequence[ComparisonRow]) -> dict[tuple[str, str], list[ParetoPoint]]:
    """Of one target and one metric of one test set: of others none is the better one."""
    groups: dict[tuple[str, str], list[ParetoPoint]] = defaultdict(list)
    for row in rows:
        candidate = _front.candidate(row)
        if candidate is not None:
            groups[row.record.target.name, candidate.metric].append(candidate)
    return {which: found for which, found in groups.items() if len(found) > 1}


def _figure(target: str, name: str, metric: str, candidates: Sequence[ParetoPoint]) -> Figure:
    dominated = _front.dominated(candidates)
    front = [one for one, is_worse in zip(candidates, dominated, strict=True) if not is_worse]
    said = _rows.sentence(f"On the front of {metric} on {target}", front, _said)
    if len(front) < len(candidates):
        said += f" {len(candidates) - len(front):,} of {len(candidates):,} are dominated."
    known = [cost for cost in _COSTS if any(cost[0] in one.costs for one in candidates)]
    panels = tuple(_panel(candidates, dominated, cost, legend=cost is known[-1]) for cost in known)
    return Figure(name, f"{target}: {metric}", said, panels)


def _said(one: ParetoPoint) -> str:
    row = one.row
    energy = f", {formatting.joules(one.costs['energy'][0])}" if "energy" in one.costs else ""
    size = formatting.size(row.record.artifact.size_bytes)
    return f"{row.name} ({one.shown}, {formatting.estimate_parts(row.p50_ns)[0]}, {size}{energy})"


def _panel(
    candidates: Sequence[ParetoPoint], dominated: Sequence[bool], cost: tuple[str, str, float], *, legend: bool
) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    which, title, divisor = cost
    metric = candidates[0].unit
    data = [
        _point(one, worse, which, divisor)
        for one, worse in zip(candidates, dominated, strict=True)
        if which in one.costs
    ]
    range_ = [point[end] for point in data for end in ("cost", "low", "high") if point[end] > 0]
    scale = _drawing.log_scale(range_)
    middle = math.sqrt(min(range_) * max(range_))
    named = sorted((point for point in data if point["standing"] == _STANDINGS[0]), key=lambda point: point["cost"])
    for point in named[:_MOST_NAMED]:
        point["left" if point["cost"] <= middle else "right"] = point["artifact"]
    base = alt.Chart(_drawing.ROWS)
    x = alt.X("cost:Q", title=title, scale=scale, axis=_drawing.ticks(range_))
    y = alt.Y(
        "value:Q",
        title=metric,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(tickCount=5, minExtent=36, format=",.4~r"),
    )
    standing: dict[str, Any] = {"title": None, "legend": _drawing.WIDE_LEGEND if legend else None}
    points = base.mark_point(filled=True, size=100, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color("standing:N", scale=alt.Scale(domain=[_STANDINGS[0], "", _STANDINGS[1]], range="ordinal"),
                        title=None, legend=None),
        shape=alt.Shape("standing:N", scale=alt.Scale(domain=_STANDINGS, range=["circle", "cross"]), **standing),
        tooltip=_drawing.tips("artifact", "standing", value=metric, cost=title),
    )  # fmt: skip
    across = base.mark_rule(style="faint").encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=alt.Y("value:Q"))
    up = base.mark_rule(style="faint").encode(x=alt.X("cost:Q"), y=alt.Y("least:Q"), y2=alt.Y2("most:Q"))
    texts = [
        base.transform_filter(f"isValid(datum.{side})")
        .mark_text(align=side, dx=shift, dy=-9, limit=170, fontSize=11)
        .encode(x=x, y=y, text=alt.Text(f"{side}:N"))
        for side, shift in _SIDES
        if any(side in point for point in data)
    ]
    return _drawing.panel(alt.layer(across, up, points, *texts), data, height=230)


def _point(one: ParetoPoint, is_dominated: bool, which: str, divisor: float) -> dict[str, Any]:
    value, low, high = one.costs[which]
    return {
        "artifact": one.row.name,
        "standing": _STANDINGS[is_dominated],
        "cost": _rows.short(value / divisor),
        "low": _rows.short(low / divisor),
        "high": _rows.short(high / divisor),
        "value": _rows.short(one.quality[0]),
        "least": _rows.short(one.quality[1]),
        "most": _rows.short(one.quality[2]),
    }
