"""Where the time goes: the layers of each record, an INT8 file beside the float one of its network, for any report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebench.analysis import layer_pairs
from edgebench.analysis.layer_pairs import LayerPair
from edgebench.schema.record import Record

if TYPE_CHECKING:
    from rich.console import Console

# Rows of a table; what takes less time than these is summed up in one row.
MOST_ROWS = 20
# Layers may add up to this many times a whole inference with the profiler, whose time is a median; or to as much less.
INTERRUPTED = 1.1


@dataclass(frozen=True)
class LayerTable:
    """rows: layers of one file in the order in which they run; of two files by what the second loses, then gains. sums:
    of all, and of conversions. Cells are text, times in µs.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sums: tuple[tuple[str, ...], ...]
    caption: str


def tables(records: Sequence[Record]) -> list[LayerTable]:
    """One for each file with layers; a float file stands alone only where there is no other of its network."""
    return [_table(float_, other) for float_, other in side_by_side(records)]


def side_by_side(records: Sequence[Record]) -> list[tuple[Record | None, Record]]:
    """Each file with layers, and the float file of its network where there is one."""
    return [pair for network in _networks(records) for pair in _side_by_side(network)]


def missing(records: Sequence[Record]) -> list[str]:
    """Why runtimes that were asked show no layers."""
    reasons = (
        f"Layers in {record.runtime.name}: {record.layers.reason}."
        for record in records
        if record.layers is not None and record.layers.reason
    )
    return list(dict.fromkeys(reasons))


def show(records: Sequence[Record], console: Console) -> None:
    """On a terminal. Nothing for records without layers."""
    from rich.markup import escape
    from rich.table import Table

    for found in tables(records):
        table = Table(title=escape(found.title), title_justify="left", caption=escape(found.caption))
        for number, heading in enumerate(found.headings):
            table.add_column(heading, justify="left" if number < 2 else "right", overflow="fold")
        for cells in found.rows:
            table.add_row(*map(escape, cells))
        table.add_section()
        for cells in found.sums:
            table.add_row(*map(escape, cells))
        console.print(table)
    for reason in missing(records):
        console.print(escape(reason))


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
    floats = [record for record in records if record.artifact.precision == "fp32"]
    others = [record for record in records if record.artifact.precision != "fp32"]
    yield from ((floats[-1] if floats else None, other) for other in others)
    if not others:
        yield from ((None, record) for record in floats)


def _table(float_: Record | None, other: Record) -> LayerTable:
    assert other.layers is not None
    both = float_ is not None
    before = () if float_ is None or float_.layers is None else float_.layers.layers
    pairs = layer_pairs.pairs(before, other.layers.layers)
    ranked = sorted(pairs, key=lambda pair: -max(abs(pair.gained_ns), pair.second.ns if pair.second else 0.0))
    largest = {id(pair) for pair in ranked[:MOST_ROWS]}
    rest = [pair for pair in pairs if id(pair) not in largest]
    shown = [pair for pair in pairs if id(pair) in largest]
    if both:
        shown.sort(key=lambda pair: pair.gained_ns)
    rows = [_cells(pair, both=both) for pair in shown]
    if rest:
        rows.append(_sum(f"{len(rest)} more", rest, both=both))
    sums = [_sum("all layers", pairs, both=both)]
    if conversions := [pair for pair in pairs if pair.is_conversion]:
        sums.append(_sum(f"of these {len(conversions)} conversions", conversions, both=both))
    known = [record for record in (float_, other) if record is not None]
    precisions = [f"{_precision(record)} µs".strip() for record in known]
    return LayerTable(
        f"{other.artifact.name}, layer by layer: {other.runtime.name} on {other.target.name}",
        ("layer", "kind", *precisions, *(["saved µs"] if both else [])),
        tuple(rows),
        tuple(sums),
        " ".join([*map(_cost, known), *_most(other)]),
    )


def _cells(pair: LayerPair, *, both: bool) -> tuple[str, ...]:
    layer = pair.second or pair.first
    assert layer is not None
    return (pair.name, f"{layer.kind} {layer.precision}".strip(), *_times([pair], both=both))


def _sum(name: str, pairs: Sequence[LayerPair], *, both: bool) -> tuple[str, ...]:
    return (name, "", *_times(pairs, both=both))


def _times(pairs: Sequence[LayerPair], *, both: bool) -> list[str]:
    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    texts = []
    for column in (first, second) if both else (second,):
        there = [layer.ns for layer in column if layer is not None]
        texts.append(f"{sum(there) / 1e3:.1f}" if there else "-")
    return [*texts, f"{sum(pair.gained_ns for pair in pairs) / 1e3:+.1f}"] if both else texts


def _precision(record: Record) -> str:
    """Empty for files from elsewhere, which do not say it."""
    return "" if record.artifact.precision == "unknown" else record.artifact.precision


def _most(record: Record) -> list[str]:
    """What the device does at most, with as many threads as the record."""
    found = []
    for peak in (one for one in record.peaks if one.threads == record.target.threads):
        rates = ((peak.float_flops, "FLOP/s in float32"), (peak.int8_ops, "OP/s in INT8"), (peak.bytes_per_s, "B/s"))
        known = [f"{rate.best / 1e9:.3g} G{unit}" for rate, unit in rates if rate is not None]
        threads = "one thread" if peak.threads == 1 else f"{peak.threads} threads"
        found.append(f"Seen at most here, {threads}: {', '.join(known)}.")
    return found


def _cost(record: Record) -> str:
    """An inference with and without the profiler."""
    layers = record.layers
    assert layers is not None
    precision = _precision(record)
    beginning = f"{precision}: an" if precision else "An"
    how = "layer by layer" if layers.cut else "with the profiler"
    text = f"{beginning} inference takes {layers.plain_ns / 1e3:.1f} µs, {how} {layers.profiled_ns / 1e3:.1f} µs."
    together = sum(layer.ns for layer in layers.layers)
    text += f" Its layers add up to {together / 1e3:.1f} µs"
    if together > INTERRUPTED * layers.profiled_ns:
        return text + ": they are means, and other programs interrupted some."
    if together * INTERRUPTED < layers.plain_ns:
        return text + ": the rest is between them, or other programs interrupted whole inferences more often."
    return text + "."
