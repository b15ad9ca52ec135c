"""Why a network's products are not faster in integers: what the processor lacks, short sums, slow kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from edgebench.analysis import formatting, layer_pairs, stats
from edgebench.analysis.causes.evidence import (
    Evidence,
    computes_in_integers,
    has_weights,
    layers_in_file,
    measured,
    network_name,
    short,
    timed,
)
from edgebench.analysis.causes.explanation import FoundCause
from edgebench.schema.layer_times import LayerTime
from edgebench.schema.record import Record

# Layers in integers that take more than this of their float time gain nothing to speak of.
NO_GAIN = 0.8
# A register of dot products takes in 64 products; sums shorter than half of that leave it mostly empty.
SHORT_SUM = 32
_MOST_EVIDENCE = 5
_DOT_PRODUCTS = {
    "x86": (("avx512_vnni", "avx_vnni", "amx_int8"), "VNNI or AMX"),
    "arm": (("asimddp", "i8mm"), "dot product (asimddp) or i8mm"),
}


def of_layers(evidence: Evidence, record: Record, base: Record) -> Iterator[FoundCause]:
    """Layers with weights that integers do not make faster."""
    both = _both(record, base)
    before, after = (sum(layer.ns for layer in side) for side in zip(*both, strict=True)) if both else (0.0, 0.0)
    if not before or after < NO_GAIN * before:
        return
    whole = sum(layer.ns for layer in timed(record))
    lost = sorted(both, key=lambda pair: pair[0].ns - pair[1].ns)
    products = _products(evidence, record)
    shown = tuple(
        f"{short(second.name)} ({second.kind}): {first.ns / 1e3:.1f} µs in float, {second.ns / 1e3:.1f} µs in INT8"
        + (f"; {products[second.name]:.0f} products an output" if second.name in products else "")
        for first, second in lost[:_MOST_EVIDENCE]
    )
    slower = [(first, second) for first, second in lost if second.ns > first.ns] or lost[:1]
    extra = sum(max(0.0, second.ns - first.ns) for first, second in slower)
    few = [second for _, second in slower if products.get(second.name, SHORT_SUM) < SHORT_SUM]
    dynamic = [second for _, second in slower if second.kind == "ConvInteger"]
    lacking = lacks_dot_product(base)
    if lacking:
        name, why = "no dot product", f"; this processor has no {lacking}"
    elif len(dynamic) > len(slower) / 2:
        name, why = "dynamic quantisation", "; ConvInteger, which dynamic quantisation makes, has no fast kernel"
    elif few and sum(one.ns for one in few) > sum(one.ns for _, one in slower) / 2:
        name = "short sums"
        why = f": integer kernels gain from long sums, and {_named(few)} add up few products for an output"
    else:
        name, why = "slow integer kernels", f", most of all {_named([second for _, second in slower])}"
    yield FoundCause(
        name,
        f"the {len(both)} layers with weights take {after / 1e3:.1f} µs in INT8, {before / 1e3:.1f} µs in float{why}",
        _remedy(evidence, record, name),
        extra / whole,
        shown,
    )


def of_processor(record: Record, base: Record, causes: Sequence[FoundCause]) -> Iterator[FoundCause]:
    """Without layers, the processor alone is a reason to expect nothing of INT8."""
    lacking = lacks_dot_product(record)
    if lacking and not _both(record, base) and not any(cause.name == "no dot product" for cause in causes):
        features = " ".join(record.facts_before.cpu_features)
        yield FoundCause(
            "no dot product",
            f"the processor ({record.facts_before.cpu or 'unknown'}) has no {lacking}: 8-bit products are not faster",
            _without_dot_product(record),
            evidence=(f"its features: {features}",),
        )


def _remedy(evidence: Evidence, record: Record, cause: str) -> str:
    if cause == "no dot product":
        return _without_dot_product(record)
    if cause == "dynamic quantisation":
        return "edgebench export NETWORK --int8 (static: ranges are found once, on calibration data)"
    return _other_kernels(evidence, record)


def _without_dot_product(record: Record) -> str:
    if record.artifact.format == "onnx" and "avx2" in record.facts_before.cpu_features:
        return "edgebench export NETWORK --int8 --no-vnni (weights of 7 bits, for these), or ship the float file"
    return "Ship the float file on this processor, or use one that has it"


def _other_kernels(evidence: Evidence, record: Record) -> str:
    """An INT8 file of the network that another runtime ran faster, if there is one."""
    able = [
        one
        for one in measured(evidence.records)
        if evidence.is_integer(one)
        and (network_name(one), one.target.name, one.job) == (network_name(record), record.target.name, record.job)
    ]
    best = min(able, key=_p50_ns)
    if best.runtime.name == record.runtime.name:
        return evidence.deploy(record, options="--runtimes all") + " (kernels of other runtimes)"
    return f"ship {best.artifact.name}: {formatting.time(_p50_ns(best))} in {best.runtime.name}"


def _p50_ns(record: Record) -> float:
    found = stats.latency_ns(record.rounds, 0.5)
    assert found is not None
    return found.value


def lacks_dot_product(record: Record) -> str:
    """What the processor would need for fast 8-bit products; "" if it has it, or is not known."""
    facts = record.facts_before
    features = set(facts.cpu_features)
    kind = "x86" if {"avx2", "fma", "avx512f"} & features else "arm" if {"asimd", "neon"} & features else ""
    if not kind or record.target.device != "cpu":
        return ""
    wanted, words = _DOT_PRODUCTS[kind]
    return "" if features & set(wanted) else words


def _both(record: Record, base: Record) -> list[tuple[LayerTime, LayerTime]]:
    """(float, INT8) layers with weights that are in integers in the second."""
    return [
        (pair.first, pair.second)
        for pair in layer_pairs.pairs(timed(base), timed(record))
        if pair.first and pair.second and has_weights(pair.second) and computes_in_integers(pair.second)
    ]


def _products(evidence: Evidence, record: Record) -> dict[str, float]:
    """Products that are added up for one value of the output, by the timed layer's name, where the file is at hand."""
    found = layers_in_file(record, evidence.network(record))
    sizes = {place: math.prod(abs(size) for size in layer.output_shape) for place, layer in found.items()}
    layers = timed(record)
    return {layers[place].name: (one.macs or 0) / sizes[place] for place, one in found.items() if sizes[place]}


def _named(layers: Sequence[LayerTime]) -> str:
    """Some exporters call all layers by their kind."""
    names = list(dict.fromkeys(short(layer.name) for layer in layers))
    if len(names) < min(2, len(layers)):
        return f"{len(layers)} layers called {names[0]}"
    more = f" and {len(layers) - 2} more" if len(layers) > 2 else ""
    return " and ".join(names[:2]) + more
