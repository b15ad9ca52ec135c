"""Side by side: what a file costs on desktop CPU, desktop GPU and edge device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, PageTable, _rows
from edgebench.schema.record import Record

PLACE = 105
_TEXT = (
    "The same file on every target it was measured on, and the fastest file of each network there. Times by an "
    "emulator's clock are no device's and are not drawn."
)
_MOST_FILES = 60
_KINDS = (
    "desktop CPU", "desktop GPU", "GPU of an edge device", "edge device", "phone's browser", "emulated clock",
)  # fmt: skip
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left", "triangle-right")
# By file, then by target: its rows there.
Files = Mapping[str, Mapping[str, ComparisonRow]]


def sections(comparison: Comparison) -> Iterator[PageSection]:
    timed = [row for row in comparison.rows if _rows.is_drawn(row)]
    targets = {row.record.target.name: row for row in reversed(timed)}
    order = sorted(
        dict.fromkeys(row.record.target.name for row in timed),
        key=lambda name: _KINDS.index(kind(targets[name].record)),
    )
    if len(order) < 2 or comparison.is_against_earlier:
        return
    networks = _networks(timed)
    files = {name: on for name, on in _by_file(timed).items() if len(on) > 1}
    if not files and not networks:
        return
    headings = ("file", "", *(f"{name} ({kind(targets[name].record)})" for name in order))
    rows = [*_fastest_lines(networks, order), *_lines(files, order)]
    table = PageTable("Side by side", headings, tuple(rows), words=2)
    figures = _figures(files, order)
    yield PageSection("Side by side", _TEXT, tables=(table,), figures=tuple(figures))


def kind(record: Record) -> str:
    """What a target is."""
    target, facts = record.target, record.facts_before
    if target.emulated:
        return "emulated clock"
    if record.in_browser:
        return "phone's browser"
    is_desktop = target.transport == "local" and not _is_board(facts.machine)
    if target.device != "cpu":
        return "desktop GPU" if is_desktop else "GPU of an edge device"
    return "desktop CPU" if is_desktop else "edge device"


def _is_board(machine: str | None) -> bool:
    return machine in ("aarch64", "armv7l", "armv6l", "riscv64")


def _by_file(rows: Sequence[ComparisonRow]) -> Files:
    """In one runtime; of several runs the last."""
    files: dict[str, dict[str, ComparisonRow]] = defaultdict(dict)
    runtimes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        runtimes[row.record.artifact.name].add(row.record.runtime.name)
    for row in rows:
        name = row.record.artifact.name
        shown = name if len(runtimes[name]) == 1 else f"{name}, {row.record.runtime.name}"
        files[shown][row.record.target.name] = row
    return files


def _networks(rows: Sequence[ComparisonRow]) -> Files:
    """The fastest file of each network on each target, of networks that several were measured on."""
    best: dict[str, dict[str, ComparisonRow]] = defaultdict(dict)
    for row in rows:
        artifact = row.record.artifact
        network = artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")
        other = best[network].get(row.record.target.name)
        if other is None or _p50(row) < _p50(other):
            best[network][row.record.target.name] = row
    return {network: on for network, on in best.items() if len(on) > 1}


def _p50(row: ComparisonRow) -> float:
    assert row.p50_ns is not None
    return row.p50_ns.value


def _fastest_lines(networks: Files, order: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for network, on in networks.items():
        fastest = (_cell(on.get(target), lambda row: f"{row.record.artifact.name} {_time(row)}") for target in order)
        yield (network, "fastest", *fastest)


def _lines(files: Files, order: Sequence[str]) -> Iterator[tuple[str, ...]]:
    quantities: tuple[tuple[str, Callable[[ComparisonRow], str]], ...] = (
        ("p50", _time),
        ("memory", lambda row: formatting.size(row.high_water_bytes)),
        ("energy", lambda row: formatting.joules(row.energy[0].shown_j.value) if row.energy else formatting.NOTHING),
    )
    for name, on in list(files.items())[:_MOST_FILES]:
        for quantity, shown in quantities:
            cells = [_cell(on.get(target), shown) for target in order]
            if any(cell != formatting.NOTHING for cell in cells):
                yield (name, quantity, *cells)


def _cell(row: ComparisonRow | None, shown: Callable[[ComparisonRow], str]) -> str:
    return formatting.NOTHING if row is None else shown(row)


def _time(row: ComparisonRow) -> str:
    return formatting.estimate(row.p50_ns)


def _figures(files: Files, order: Sequence[str]) -> Iterator[Figure]:
    """Of real times."""
    real = {
        name: {where: row for where, row in on.items() if not row.record.target.emulated} for name, on in files.items()
    }
    shown = {name: on for name, on in real.items() if len(on) > 1}
    if not shown:
        return
    names, more = _rows.cut(list(shown))
    said = _rows.sentence("p50", list(shown.items()), _said) + more
    drawn = {name: shown[name] for name in names}
    yield Figure("targets", "p50 on each target", said, (_panel(drawn, order),))


def _said(named: tuple[str, Mapping[str, ComparisonRow]]) -> str:
    name, on = named
    return f"{name} {', '.join(f'{_time(row)} on {target}' for target, row in on.items())}"


def _panel(files: Files, order: Sequence[str]) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    data = [_point(name, target, row) for name, on in files.items() for target, row in on.items()]
    range_us = [point[end] for point in data for end in ("us", "low", "high")]
    where = [name for name in order if any(point["target"] == name for point in data)]
    base = alt.Chart(_drawing.ROWS).encode(y=_drawing.names())
    legend: dict[str, Any] = {"title": None, "legend": _drawing.WIDE_LEGEND}
    shapes = [_SHAPES[number % len(_SHAPES)] for number in range(len(where))]
    x = alt.X("us:Q", title="p50, µs", scale=_drawing.log_scale(range_us), axis=_drawing.ticks(range_us))
    interval = base.mark_rule(strokeWidth=2, yOffset=_drawing.BELOW).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    points = base.mark_point(filled=True, size=110, opacity=1, yOffset=_drawing.BELOW).encode(
        x=x,
        color=alt.Color("target:N", scale=alt.Scale(domain=where), **legend),
        shape=alt.Shape("target:N", scale=alt.Scale(domain=where, range=shapes), **legend),
        tooltip=_drawing.tips("artifact", "target", us="p50 µs", low="low µs", high="high µs"),
    )
    return _drawing.panel(alt.layer(interval, points), data, height=_drawing.ROW * len(files))


def _point(name: str, target: str, row: ComparisonRow) -> dict[str, Any]:
    found = row.p50_ns
    assert found is not None
    ends = _rows.ends(found.value, found.low, found.high, 1e3)
    return {"artifact": name, "target": target, "us": _rows.short(found.value / 1e3), **ends}
