"""An inspected file on a terminal, 80 columns wide, and its layers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec.structs import asdict
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgebench.analysis import formatting, stats
from edgebench.files.plain_text import plain_excerpt
from edgebench.schema.bundle import OutputParity, Parity
from edgebench.schema.inspection import InspectedTensor, Inspection, Layer, is_quantised, operators
from edgebench.schema.tensors import SQNR_CEILING_DB

# More than any classifier has; for more there is --csv.
MOST_ROWS = 400
_WORDS = ("layer", "operator", "output", "held as", "runs as")


def show(found: Inspection, console: Console) -> None:
    """The file, its bundle's information, operators, layers, memory, hints and warnings."""
    console.print(
        f"\n[bold]{escape(found.file)}[/bold]  {found.size_bytes:,} bytes ({formatting.size(found.size_bytes)})"
    )
    console.print(_pairs(_head(found)))
    if found.artifact:
        console.print("\nFrom its bundle")
        console.print(_pairs(_provenance(found)))
    console.print("\nOperators")
    console.print(_operators(found))
    for why, layers in _by_reason(found.network.layers).items():
        console.print(f"float: {escape(_few(layers))} ({escape(why)})")
    shown = found.network.layers[:MOST_ROWS]
    console.print("\nLayers")
    console.print(_work(shown, compared=bool(found.compared_images)))
    console.print("\nWeights")
    console.print(_weights(found, shown))
    if len(shown) < len(found.network.layers):
        console.print(f"{len(found.network.layers) - len(shown):,} more layers: --csv FILE", style="dim")
    console.print()
    console.print(_pairs(_totals(found)))
    for remark in found.network.remarks:
        console.print(f"[yellow]look out:[/yellow] {escape(remark)}")


def layers_csv(found: Inspection) -> str:
    """One line per layer; empty if a value is unknown."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(Layer.__struct_fields__), lineterminator="\n")
    writer.writeheader()
    for layer in found.network.layers:
        writer.writerow(asdict(layer) | {"output_shape": _by(layer.output_shape)})
    return out.getvalue()


def layer_name(layer: Layer, longest: int = 19) -> str:
    """The distinctive part of its name: `features.2/conv.0.0` of `/features/features.2/conv/conv.0/conv.0.0/Conv`.

    TFLite joins the paths of fused layers with semicolons, and numbers duplicates.
    """
    parts = [part for part in layer.name.split(";") if part and not part.isdecimal()]
    if ";" in layer.name:
        name = "+".join(dict.fromkeys(part.rpartition("/")[2].rpartition(".")[2] for part in parts))
    else:
        path = [part for part in layer.name.split("/") if part and part != layer.operator]
        name = "/".join(part for part, after in pairwise([*path, ""]) if not after.startswith(f"{part}."))
    name = name or layer.operator
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def _head(found: Inspection) -> Iterator[tuple[str, str]]:
    network = found.network
    yield "sha256", found.sha256
    yield from network.facts.items()
    yield "inspected by", found.runtime
    for ports, name in ((network.inputs, "input"), (network.outputs, "output")):
        for port in ports:
            yield name, _port(port)
    for signature in network.signatures:
        yield "signature", signature


def _port(port: InspectedTensor) -> str:
    words = [port.name, port.dtype, f"[{', '.join(map(str, port.shape))}]", port.layout]
    if port.scale is not None:
        words.append(f"(stored - {port.zero_point}) * {port.scale:.6g}".replace("- -", "+ "))
    return "  ".join(word for word in words if word)


def _provenance(found: Inspection) -> Iterator[tuple[str, str]]:
    artifact = found.artifact
    assert artifact is not None
    yield "artifact", f"{artifact.name}, {artifact.precision}"
    digests = ("digest", "sha256")
    yield "source", ", ".join(f"{k} {v[:12] if k in digests else v}" for k, v in found.source.items())
    if artifact.parity:
        yield from _parity(artifact.parity)
    else:
        yield "accuracy", "unknown: it was exported without a data set"
    for name, note in artifact.notes.items():
        yield "note", f"{name}: {note}"


def _parity(parity: Parity) -> Iterator[tuple[str, str]]:
    if parity.accuracy is not None and parity.parent_accuracy is not None:
        low, high = stats.wilson_interval(parity.accuracy * parity.images, parity.images)
        yield (
            "accuracy",
            f"{parity.accuracy:.2%} ({low:.2%} to {high:.2%}) on {parity.images:,} test images of {parity.dataset}; "
            f"its network {parity.parent_accuracy:.2%}",
        )
    else:
        yield "accuracy", f"unknown: it was compared with its network on {parity.samples}, which have no labels"
    for one in parity.outputs:
        label = f"agreement of {one.name}" if len(parity.outputs) > 1 else "agreement"
        yield label, f"{agreement_words(one)} ({parity.runtime})"


def agreement_words(output: OutputParity) -> str:
    """One output against that of the network that the file came from."""
    if output.share_equal is not None:
        return f"{output.share_equal:.2%} of its whole numbers equal"
    words = [] if output.top1_agreement is None else [f"{output.top1_agreement:.2%} with its network"]
    words += [] if output.sqnr_db is None else [_sqnr(output.sqnr_db)]
    words += [] if output.cosine is None else [f"cosine {output.cosine:.6f}"]
    words += [] if output.max_abs_diff is None else [f"largest difference {output.max_abs_diff:.3g}"]
    return ", ".join(words)


def _sqnr(db: float) -> str:
    return "answers identical to its network's" if db >= SQNR_CEILING_DB else f"SQNR {db:.1f} dB"


def _decibels(db: float | None) -> str:
    if db is None:
        return formatting.NOTHING
    return "same" if db >= SQNR_CEILING_DB else f"{db:.1f}"


def _operators(found: Inspection) -> Table:
    quantised = is_quantised(found.network)
    table = _table("operator", "count", *(("quantised", "float") if quantised else ()))
    for one in operators(found.network):
        cells = [_or_nothing(one.quantised), _or_nothing(one.floating)] if quantised else []
        table.add_row(escape(one.operator), f"{one.count:,}", *cells)
    return table


def _by_reason(layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    reasons: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.why_float:
            reasons.setdefault(layer.why_float, []).append(layer)
    return reasons


def _few(layers: Sequence[Layer], most: int = 6) -> str:
    named = ", ".join(f"{layer.number} {layer.operator}" for layer in layers[:most])
    return named if len(layers) <= most else f"{named} and {len(layers) - most} more"


def _work(layers: Sequence[Layer], *, compared: bool) -> Table:
    """Each layer's output, MACs and error."""
    table = _table("", "layer", "operator", "output", "held as", "bytes", "MACs", *(["dB"] if compared else []))
    for layer in layers:
        error = [_decibels(layer.sqnr_db)] if compared else []
        table.add_row(
            str(layer.number),
            escape(layer_name(layer)),
            escape(layer.operator),
            _output(layer),
            layer.activation_dtype,
            formatting.NOTHING if layer.activation_bytes is None else f"{layer.activation_bytes:,}",
            "?" if layer.macs is None else _or_nothing(layer.macs),
            *error,
        )
    return table


def _output(layer: Layer) -> str:
    if layer.activation_bytes is None:
        return "?"
    return _by(layer.output_shape) or "scalar"


def _weights(found: Inspection, layers: Sequence[Layer]) -> Table:
    """Weights of the layers that have any. One scale: per tensor; more: per channel or block."""
    quantised = is_quantised(found.network)
    more = ["scales", "runs as"] if quantised else []
    table = _table("", "layer", "held as", "parameters", "bytes", "zeros", *more)
    for layer in layers:
        if layer.weights_bytes:
            table.add_row(
                str(layer.number),
                escape(layer_name(layer)),
                layer.weights_dtype,
                f"{layer.parameters:,}",
                f"{layer.weights_bytes:,}",
                formatting.NOTHING if layer.zeros is None else f"{layer.zeros / max(1, layer.weights):.1%}",
                *([_or_nothing(layer.scales), _runs_as(layer)] if quantised else []),
            )
    return table


def _runs_as(layer: Layer) -> str:
    return escape(f"{layer.arithmetic} {layer.runs_as}".strip())


def _totals(found: Inspection) -> Iterator[tuple[str, str]]:
    network = found.network
    yield "parameters", f"{network.parameters:,}"
    rest = found.size_bytes - network.weights_bytes
    yield "weights", f"{network.weights_bytes:,} bytes" + (f", {rest:,} more are graph, scales, names" * (rest > 0))
    looked_at = [layer for layer in network.layers if layer.zeros is not None]
    weights = sum(layer.weights for layer in looked_at)
    if weights:
        zeros = sum(layer.zeros or 0 for layer in looked_at)
        yield "zeros", f"{zeros:,} of {weights:,} weights without biases ({zeros / weights:.2%} sparsity)"
    yield "MACs", "not known" if network.macs is None else f"{network.macs:,} for one image (1 MAC is 2 FLOPs)"
    memory = network.memory
    if memory is None:
        yield "activations", "not known"
    else:
        yield (
            "activations",
            f"{memory.peak_activation_bytes:,} bytes at most, in layer {memory.peak_at}: each is held until its last "
            "reader is done, none in place",
        )
        if memory.arena_bytes:
            yield "arena", f"{memory.arena_bytes:,} bytes for them in {found.runtime}, without a delegate"
    if found.compared_images:
        yield "dB", f"SQNR of each layer's output against the fp32 file's, over {found.compared_images} golden inputs"
    for hint in network.hints:
        yield "hint", hint


def _pairs(lines: Iterator[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in lines:
        grid.add_row(escape(plain_excerpt(name)), escape(plain_excerpt(value)))
    return grid


def _table(*headings: str) -> Table:
    """A narrow terminal shortens words, never numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for heading in headings:
        words = heading in _WORDS
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words, overflow="ellipsis")
    return table


def _by(sizes: Sequence[int | str]) -> str:
    return "x".join(map(str, sizes))


def _or_nothing(count: int) -> str:
    return f"{count:,}" if count else formatting.NOTHING
