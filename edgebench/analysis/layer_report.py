"""Where the time goes, for a terminal: the layers of each record, an INT8 file beside the float one of its network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgebench.analysis import layer_pairs
from edgebench.analysis.layer_pairs import LayerPair
from edgebench.schema.record import Record

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Rows of a table; what takes less time than these is summed up in a last row.
MOST_ROWS = 20
# Layers may add up to this many times a whole inference with the profiler, whose time is a median.
INTERRUPTED = 1.1


def show(records: Sequence[Record], console: Console) -> None:
    """Nothing for records without layers; for each runtime that shows none, why."""
    for records_of_network in _networks(records):
        for float_, other in _side_by_side(records_of_network):
            console.print(_table(float_, other))
    for reason in dict.fromkeys(_missing(records)):
        console.print(reason)


def _missing(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        if record.layers is not None and record.layers.reason:
            yield f"Layers in {record.runtime.name}: {record.layers.reason}."


def _networks(records: Sequence[Record]) -> list[list[Record]]:
    """Records with layers, of one network in one runtime on one target."""
    found: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        artifact = record.artifact
        if record.layers is not None and record.layers.layers:
            network = artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")
            found[network, artifact.format, record.runtime.name, record.target.name].append(record)
    return list(found.values())


def _side_by_side(records: Sequence[Record]) -> Iterator[tuple[Record | None, Record]]:
    """Each file with the float32 one, which stands alone only where there is no other."""
    floats = [record for record in records if record.artifact.precision == "fp32"]
    others = [record for record in records if record.artifact.precision != "fp32"]
    yield from ((floats[-1] if floats else None, other) for other in others)
    if not others:
        yield from ((None, record) for record in floats)


def _table(float_: Record | None, other: Record) -> Table:
    from rich.markup import escape
    from rich.table import Table

    assert other.layers is not None
    before = () if float_ is None or float_.layers is None else float_.layers.layers
    rows = layer_pairs.pairs(before, other.layers.layers)
    where = f"{other.runtime.name} on {other.target.name}"
    table = Table(title=escape(f"{other.artifact.name}, layer by layer: {where}"), title_justify="left")
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    names = [record.artifact.precision for record in (float_, other) if record is not None]
    for name in names:
        table.add_column(f"{name} µs", justify="right")
    if float_ is not None:
        table.add_column("saved µs", justify="right")
    ranked = sorted(rows, key=lambda row: -max(abs(row.gained_ns), row.second.ns if row.second else 0.0))
    shown = [row for row in rows if row in ranked[:MOST_ROWS]]
    for row in shown:
        table.add_row(*_cells(row, both=float_ is not None))
    rest = [row for row in rows if row not in shown]
    if rest:
        table.add_row(*_sum(f"{len(rest)} more", rest, both=float_ is not None))
    table.add_section()
    table.add_row(*_sum("all layers", rows, both=float_ is not None))
    conversions = [row for row in rows if row.is_conversion]
    if conversions:
        table.add_row(*_sum(f"of these {len(conversions)} conversions", conversions, both=float_ is not None))
    table.caption = " ".join(_cost(record) for record in (float_, other) if record is not None)
    return table


def _cells(row: LayerPair, *, both: bool) -> list[str]:
    from rich.markup import escape

    layer = row.second or row.first
    assert layer is not None
    kind = f"{layer.kind} {layer.precision}".strip()
    return [escape(row.name), escape(kind), *_times([row], both=both)]


def _sum(name: str, rows: Sequence[LayerPair], *, both: bool) -> list[str]:
    return [name, "", *_times(rows, both=both)]


def _times(rows: Sequence[LayerPair], *, both: bool) -> list[str]:
    first, second = [one.first for one in rows], [one.second for one in rows]
    columns = (first, second) if both else (second,)
    texts = []
    for column in columns:
        there = [layer.ns for layer in column if layer is not None]
        texts.append(f"{sum(there) / 1e3:.1f}" if there else "-")
    return [*texts, f"{sum(row.gained_ns for row in rows) / 1e3:+.1f}"] if both else texts


def _cost(record: Record) -> str:
    """An inference with and without the profiler."""
    layers = record.layers
    assert layers is not None
    text = (
        f"{record.artifact.precision}: an inference takes {layers.plain_ns / 1e3:.1f} µs, with the profiler "
        f"{layers.profiled_ns / 1e3:.1f} µs."
    )
    together = sum(layer.ns for layer in layers.layers)
    if together > INTERRUPTED * layers.profiled_ns:
        text += f" Its layers add up to {together / 1e3:.1f} µs: they are means, and other programs interrupted some."
    return text
