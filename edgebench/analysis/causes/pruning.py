"""Why pruning did not help, or by how much it did: what was removed, whether kernels see it, where the time is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from edgebench.analysis import layer_pairs
from edgebench.analysis.causes import conversions
from edgebench.analysis.causes.evidence import (
    Evidence,
    has_weights,
    layer_evidence,
    layers_in_file,
    missing_layers,
    pruned_pairs,
    ratio,
    short,
    timed,
    where,
)
from edgebench.analysis.causes.explanation import Explanation, FoundCause, MissingEvidence
from edgebench.analysis.ratios import EQUIVALENCE_MARGIN, Ratio
from edgebench.schema.inspection import Layer, NetworkInFile
from edgebench.schema.record import Record

# The time follows the work if it shrinks by at least half as much.
FOLLOWS = 0.5
# Layers that take this much of the time and kept this much of their work are where it stays.
DOMINATES = 0.5
KEPT = 0.9
# Above this share of the work nothing to speak of was removed.
ALL_LEFT = 0.99
# Shares of zeros and of lost channels that could matter.
NOTABLE_ZEROS = 0.1
# Channels that kernels compute at once: 16 floats in a register of AVX-512, 8 of AVX2; 4 of NEON, in two registers 8.
_BLOCKS = (("avx512f", 16), ("avx2", 8), ("asimd", 8), ("neon", 8))
_MOST_EVIDENCE = 5
_NOTED_ZEROS = re.compile(r"\(([\d.]+)%\)")


def explain(evidence: Evidence) -> Iterator[Explanation]:
    """One explanation for each file with fewer channels or weights than another one of its model."""
    for record, base in pruned_pairs(evidence):
        found = ratio(record, base)
        if found is not None:
            yield _of_pair(evidence, record, base, found)


def _of_pair(evidence: Evidence, record: Record, base: Record, found: Ratio) -> Explanation:
    helped = found.high is not None and found.high < 1
    expected = _work_ratio(record, base)
    is_enough = helped and (1 - found.value) >= FOLLOWS * (1 - expected)
    causes: list[FoundCause] = []
    if not is_enough:
        causes += _of_zeros(evidence, record, expected)
        causes += _of_channels(evidence, record, base, helped=helped)
        causes += _of_left_layout(record, base, causes)
        causes += _of_dominating(evidence, record, base, expected)
    return Explanation(
        "pruning",
        f"{record.artifact.name} {where(record)}",
        _answer(record, base, found, expected, helped=helped),
        tuple(causes),
        tuple(_missing(evidence, record, base)) if not is_enough else (),
        concern=0.1 if is_enough else 0.9 if not helped else 0.5,
    )


def _work_ratio(record: Record, base: Record) -> float:
    """MACs of the pruned network over those of the dense one; without them its parameters."""
    own, dense = record.artifact, base.artifact
    if own.macs and dense.macs:
        return own.macs / dense.macs
    return (own.parameters or 0) / (dense.parameters or 1)


def _answer(record: Record, base: Record, found: Ratio, expected: float, *, helped: bool) -> str:
    span = f" ({found.low:.2f}-{found.high:.2f})" if found.low is not None and found.high is not None else ""
    what = "MACs" if record.artifact.macs and base.artifact.macs else "parameters"
    took = f"{found.value:.2f}x{span} of the time with {expected:.2f}x of the {what} of {base.artifact.name}"
    if found.within_margin or (helped and found.value > 1 - EQUIVALENCE_MARGIN):
        return f"Pruning changed nothing: {record.artifact.name} takes {took}"
    if helped:
        return f"Pruning made it faster: {record.artifact.name} takes {took}"
    if found.low is not None and found.low > 1:
        return f"Pruning made it slower: {record.artifact.name} takes {took}"
    return f"Pruning is not shown to help: {record.artifact.name} takes {took}"


def _of_zeros(evidence: Evidence, record: Record, expected: float) -> Iterator[FoundCause]:
    """Zeros that dense kernels multiply like any number."""
    network = evidence.network(record)
    share, shown = _zeros(network) if network is not None else (0.0, ())
    noted = record.artifact.notes.get("zeros", "")
    if not share and noted and (found := _NOTED_ZEROS.search(noted)):
        share = float(found[1]) / 100
    if share < NOTABLE_ZEROS or expected < KEPT:
        return
    yield FoundCause(
        "dense kernels",
        f"{share:.0%} of the weights are zeros in place, and {record.runtime.name}'s kernels multiply them like any "
        "number",
        "edgebench prune NETWORK --method channels --option round_to=16 (removes whole channels, which are less work)",
        evidence=shown or (noted,),
    )


def _zeros(network: NetworkInFile) -> tuple[float, tuple[str, ...]]:
    known = [layer for layer in network.layers if layer.weights and layer.zeros is not None]
    weights = sum(layer.weights for layer in known)
    zeros = sum(layer.zeros or 0 for layer in known)
    most = sorted(known, key=lambda layer: -(layer.zeros or 0))[:_MOST_EVIDENCE]
    shown = tuple(
        f"{short(layer.name)}: {layer.zeros:,} of {layer.weights:,} weights are zero" for layer in most if layer.zeros
    )
    return (zeros / weights if weights else 0.0), shown


def block(record: Record) -> int:
    """Channels that the processor's kernels compute at once; 0 if unknown."""
    features = record.facts_before.cpu_features
    return next((size for feature, size in _BLOCKS if feature in features), 0)


def _of_channels(evidence: Evidence, record: Record, base: Record, *, helped: bool) -> Iterator[FoundCause]:
    """Numbers of channels that pruning left beside the kernels' multiple."""
    size = block(record)
    own, dense = evidence.network(record), evidence.network(base)
    if not size or own is None or dense is None:
        return
    odd = [
        (layer, count, before)
        for layer, other in _same_layers(own, dense)
        if (count := channels(layer)) < (before := channels(other)) and count % size and not before % size
    ]
    if not odd:
        return
    costs = _costs(record, base, {layer.name for layer, _, _ in odd}, own, dense)
    whole = sum(layer.ns for layer in timed(record))
    cost = _sums(costs.values())
    if helped if cost is None else cost[0] < KEPT * cost[1]:
        return  # these layers did become faster, or nothing shows that they did not
    faster = {name for name, (after, before) in costs.items() if after < KEPT * before}
    odd = [one for one in odd if one[0].name not in faster]
    cost = _sums(both for name, both in costs.items() if name not in faster)
    slower = "" if cost is None else f"; they take {cost[0] / 1e3:.1f} µs, {cost[1] / 1e3:.1f} µs with all channels"
    yield FoundCause(
        "channels off the kernels' multiple",
        f"{len(odd)} layer{'s have' if len(odd) > 1 else ' has'} numbers of channels that are not multiples of {size} "
        f"({', '.join(f'{before} became {count}' for _, count, before in odd[:3])}): kernels pad them, or give way to "
        f"slower ones{slower}",
        f"edgebench prune NETWORK --method channels --option round_to={size}",
        None if cost is None else cost[0] / whole,
        tuple(
            f"{short(layer.name)}: {before} channels became {count}" for layer, count, before in odd[:_MOST_EVIDENCE]
        ),
    )


def _same_layers(own: NetworkInFile, dense: NetworkInFile) -> list[tuple[Layer, Layer]]:
    """Layers with weights, by their order: pruning changes sizes, not which layers there are."""
    sides = [[layer for layer in network.layers if layer.weights and layer.macs] for network in (own, dense)]
    return list(zip(*sides, strict=True)) if len(sides[0]) == len(sides[1]) else []


def channels(layer: Layer) -> int:
    """Of its output: of [N, C, H, W] in .onnx and [N, H, W, C] in .tflite files; 0 if it has no image."""
    shape = layer.output_shape
    if len(shape) != 4:
        return shape[-1] if shape else 0
    return shape[3] if layer.operator.isupper() else shape[1]


def _costs(
    record: Record, base: Record, names: set[str], own: NetworkInFile, dense: NetworkInFile
) -> dict[str, tuple[float, float]]:
    """{layer: what it takes, and took with all channels, in ns}, of those of these layers that were timed in both."""
    mine, theirs = _ns_by_name(record, own), _ns_by_name(base, dense)
    pairs = [(first.name, second.name) for first, second in _same_layers(own, dense) if first.name in names]
    return {first: (mine[first], theirs[second]) for first, second in pairs if first in mine and second in theirs}


def _sums(costs: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    known = list(costs)
    return (sum(after for after, _ in known), sum(before for _, before in known)) if known else None


def _ns_by_name(record: Record, network: NetworkInFile) -> dict[str, float]:
    layers = timed(record)
    return {layer.name: layers[place].ns for place, layer in layers_in_file(record, network).items()}


def _of_left_layout(record: Record, base: Record, causes: Sequence[FoundCause]) -> Iterator[FoundCause]:
    """The dense network runs in blocks of channels (the runtime reorders into them), and the pruned one does not."""
    sides = [[layer for layer in timed(one) if "Reorder" in layer.kind] for one in (record, base)]
    if not timed(record) or not sides[1] or sides[0]:
        return
    both = [
        (pair.first, pair.second)
        for pair in layer_pairs.pairs(timed(base), timed(record))
        if pair.first and pair.second and layer_pairs.kind_of(pair.second) == "Conv"
    ]
    before, after = (sum(one.ns for one in side) for side in zip(*both, strict=True)) if both else (0.0, 0.0)
    whole = sum(layer.ns for layer in timed(record))
    if after <= before:
        return
    yield FoundCause(
        "left the blocked layout",
        f"{base.artifact.name} is computed in blocks of channels ({sides[1][0].kind}), {record.artifact.name} is not: "
        f"its convolutions take {after / 1e3:.1f} µs, {before / 1e3:.1f} µs before",
        f"edgebench prune NETWORK --method channels --option round_to={block(record) or 16}",
        after / whole,
    )


def _of_dominating(evidence: Evidence, record: Record, base: Record, expected: float) -> Iterator[FoundCause]:
    """Where the time is that pruning did not touch."""
    layers = timed(record)
    whole = sum(layer.ns for layer in layers)
    network, dense = evidence.network(record), evidence.network(base)
    if not whole or network is None or dense is None or expected >= ALL_LEFT:
        return
    macs = {own.name: (own.macs or 0) / (other.macs or 1) for own, other in _same_layers(network, dense)}
    placed = layers_in_file(record, network)
    untouched = [
        layer
        for place, layer in enumerate(layers)
        if (place in placed and macs.get(placed[place].name, 0.0) >= KEPT)
        or not (has_weights(layer) or conversions.is_conversion(layer))
    ]
    share = sum(layer.ns for layer in untouched) / whole
    if share < DOMINATES:
        return
    largest = sorted(untouched, key=lambda layer: -layer.ns)[:3]
    named = ", ".join(short(layer.name) for layer in largest)
    yield FoundCause(
        "the time is elsewhere",
        f"{share:.0%} of the time is in layers whose work pruning did not reduce, first of all {named}",
        "edgebench prune NETWORK --method channels --ratio HIGHER, or a smaller input: these layers cost what they did",
        share,
        layer_evidence(untouched, whole),
    )


def _missing(evidence: Evidence, record: Record, base: Record) -> Iterator[MissingEvidence]:
    if any(evidence.network(one) is None for one in (record, base)):
        yield MissingEvidence(
            "channels and zeros of each layer: the files are not at hand",
            f"edgebench explain {record.target.name} --files FOLDER (with the bundles that were measured)",
            is_file=True,
        )
    yield from missing_layers(evidence, record, base)
