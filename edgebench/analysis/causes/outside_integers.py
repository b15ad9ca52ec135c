"""What an INT8 file spends outside integers: conversions to float and back, what lies between them, other layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from edgebench.analysis.causes import conversions
from edgebench.analysis.causes.conversions import FloatStretch
from edgebench.analysis.causes.evidence import Evidence, layer_evidence, short
from edgebench.analysis.causes.explanation import FoundCause
from edgebench.schema.layer_times import LayerTime
from edgebench.schema.record import Record

_MOST_EVIDENCE = 5


def of_stretches(record: Record, layers: Sequence[LayerTime], whole: float) -> Iterator[FoundCause]:
    found = conversions.stretches(layers)
    unfolded = [one for one in found if one.place == "inside" and (one.is_weighted or not one.inside)]
    islands = [
        one for one in found if one not in unfolded and one.inside and (one.place == "inside" or one.is_weighted)
    ]
    edges = [one for one in found if one not in unfolded and one not in islands]
    export = "edgebench export NETWORK --int8 (its files are checked for this; edgebench inspect FILE shows each layer)"
    if unfolded:
        yield FoundCause(
            "unfolded quantise/dequantise pairs",
            f"{_count(unfolded, 'pair')} of conversions {_is(unfolded)} not folded by {record.runtime.name}: what is "
            f"between them is computed in float",
            export,
            _share(unfolded, whole),
            _stretch_evidence(unfolded, whole),
        )
    if islands:
        kinds = Counter(layer.kind for one in islands for layer in one.inside)
        named = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common(3))
        yield FoundCause(
            "float islands",
            f"{_count(islands, 'stretch')} of the network {_is(islands)} float, with conversions around: {named}",
            "Replace these operators by ones that have integer kernels (ReLU for Hardswish, Sigmoid, ...), train, and "
            "edgebench export NETWORK --int8",
            _share(islands, whole),
            _stretch_evidence(islands, whole),
        )
    if edges:
        yield FoundCause(
            "conversions at the edges",
            f"quantising the input and dequantising the output takes {_share(edges, whole):.0%} of so small a network",
            "edgebench export NETWORK --int8 --fold-preprocessing (the file then takes images as bytes)",
            _share(edges, whole),
            _stretch_evidence(edges, whole),
        )


def of_layout(evidence: Evidence, record: Record, layers: Sequence[LayerTime], whole: float) -> Iterator[FoundCause]:
    moved = [layer for layer in layers if conversions.is_layout(layer)]
    if moved:
        yield FoundCause(
            "layout reorders",
            f"{record.runtime.name} moves data between layouts {len(moved)} times",
            evidence.deploy(record, options="--runtimes all") + " (another may use the file's own layout)",
            sum(layer.ns for layer in moved) / whole,
            layer_evidence(moved, whole),
        )


def _stretch_evidence(found: Sequence[FloatStretch], whole: float) -> tuple[str, ...]:
    largest = sorted(found, key=lambda one: -one.ns)[:_MOST_EVIDENCE]
    return tuple(
        f"{' '.join(layer.kind for layer in one.inside) or 'nothing'} at "
        f"{short((one.inside or one.conversions)[0].name)}: {one.ns / 1e3:.1f} µs, {one.ns / whole:.0%}, "
        f"of which conversions {sum(layer.ns for layer in one.conversions) / 1e3:.1f} µs"
        for one in largest
    )


def _count(found: Sequence[FloatStretch], word: str) -> str:
    plural = "es" if word.endswith("ch") else "s"
    return f"{len(found)} {word}{plural if len(found) > 1 else ''}"


def _is(found: Sequence[FloatStretch]) -> str:
    return "are" if len(found) > 1 else "is"


def _share(found: Sequence[FloatStretch], whole: float) -> float:
    return sum(one.ns for one in found) / whole
