"""Why INT8 is not faster: its layers beside the float file's, what its exporter noted, what the processor lacks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from edgebench.analysis import formatting, layer_pairs, stats
from edgebench.analysis.causes import conversions
from edgebench.analysis.causes.conversions import FloatStretch
from edgebench.analysis.causes.evidence import (
    Evidence,
    computes_in_integers,
    has_weights,
    int8_pairs,
    layers_in_file,
    measured,
    missing_layers,
    network_name,
    ratio,
    short,
    timed,
    where,
)
from edgebench.analysis.causes.explanation import Explanation, FoundCause, MissingEvidence
from edgebench.analysis.ratios import Ratio
from edgebench.schema.layer_times import LayerTime
from edgebench.schema.record import Record

# A cause takes at least this share of an inference: of a file that is not faster, and of one that is.
LEAST_SHARE = 0.05
LEAST_SHARE_IF_FASTER = 0.15
# INT8 counts as faster from here: it moves a quarter of the bytes.
FASTER = 0.95
# Layers in integers that take more than this of their float time gain nothing to speak of.
NO_GAIN = 0.8
# Less than half of the time in layers with weights leaves little to gain.
LEAST_WEIGHTED = 0.5
# Runtimes' own work around the layers.
LEAST_OVERHEAD = 0.3
# In longer inferences such a difference is another program's work, which means of layers leave out and medians do not.
SMALL_NS = 2e6
# A register of dot products takes in 64 products; sums shorter than half of that leave it mostly empty.
SHORT_SUM = 32
_PROFILER_STEP_NS = 1000.0
_MOST_EVIDENCE = 5
_DOT_PRODUCTS = {
    "x86": (("avx512_vnni", "avx_vnni", "amx_int8"), "VNNI or AMX"),
    "arm": (("asimddp", "i8mm"), "dot product (asimddp) or i8mm"),
}


def explain(evidence: Evidence) -> Iterator[Explanation]:
    """One explanation for each INT8 file that has a float one beside it."""
    for record, base in int8_pairs(evidence):
        found = ratio(record, base)
        if found is not None:
            yield _of_pair(evidence, record, base, found)


def _of_pair(evidence: Evidence, record: Record, base: Record, found: Ratio) -> Explanation:
    is_faster = found.high is not None and found.high < FASTER
    causes = [*_of_layers(evidence, record, base, is_faster=is_faster)]
    if not is_faster:
        causes += [*_of_processor(record, base, causes), *_of_notes(record, causes)]
    causes += _of_threads(evidence, record)
    return Explanation(
        "int8",
        f"{record.artifact.name} {where(record)}",
        _answer(record, base, found, is_faster=is_faster),
        tuple(causes),
        tuple(_missing(evidence, record, base)) if not (is_faster and not causes) else (),
        concern=0.2 if is_faster else 1.0,
    )


def _answer(record: Record, base: Record, found: Ratio, *, is_faster: bool) -> str:
    span = f" ({found.low:.2f}-{found.high:.2f})" if found.low is not None and found.high is not None else ""
    took = f"takes {found.value:.2f}x{span} of the time of {base.artifact.name}"
    if is_faster:
        return f"INT8 is faster: {record.artifact.name} {took}"
    if found.low is not None and found.low > 1:
        return f"INT8 is slower: {record.artifact.name} {took}"
    if found.differs is None:
        return f"INT8 is not shown to be faster, from too few rounds: {record.artifact.name} {took}"
    return f"INT8 is not faster: {record.artifact.name} {took}"


def _of_layers(evidence: Evidence, record: Record, base: Record, *, is_faster: bool) -> Iterator[FoundCause]:
    layers = timed(record)
    whole = sum(layer.ns for layer in layers)
    if not whole:
        return
    least = LEAST_SHARE_IF_FASTER if is_faster else LEAST_SHARE
    found = [*_of_stretches(record, layers, whole), *_of_layout(evidence, record, layers, whole)]
    yield from (cause for cause in found if cause.share is not None and cause.share >= least)
    if not is_faster:
        yield from _of_arithmetic(evidence, record, base)
        yield from _of_little_work(evidence, record, base)


def _of_stretches(record: Record, layers: Sequence[LayerTime], whole: float) -> Iterator[FoundCause]:
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
            "edgebench export --int8",
            _share(islands, whole),
            _stretch_evidence(islands, whole),
        )
    if edges:
        yield FoundCause(
            "conversions at the edges",
            f"quantising the input and dequantising the output takes {_share(edges, whole):.0%} of so small a network",
            "edgebench export --int8 --fold-preprocessing (the file then takes images as bytes)",
            _share(edges, whole),
            _stretch_evidence(edges, whole),
        )


def _of_layout(evidence: Evidence, record: Record, layers: Sequence[LayerTime], whole: float) -> Iterator[FoundCause]:
    moved = [layer for layer in layers if conversions.is_layout(layer)]
    if moved:
        yield FoundCause(
            "layout reorders",
            f"{record.runtime.name} moves data between layouts {len(moved)} times",
            evidence.deploy(record, options="--runtimes all") + " (another may use the file's own layout)",
            sum(layer.ns for layer in moved) / whole,
            _layer_evidence(moved, whole),
        )


def _of_arithmetic(evidence: Evidence, record: Record, base: Record) -> Iterator[FoundCause]:
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


def _remedy(evidence: Evidence, record: Record, cause: str) -> str:
    if cause == "no dot product":
        return _without_dot_product(record)
    if cause == "dynamic quantisation":
        return "edgebench export NETWORK --int8 (static: ranges are found once, on calibration data)"
    return _other_kernels(evidence, record)


def _named(layers: Sequence[LayerTime]) -> str:
    """Some exporters call all layers by their kind."""
    names = list(dict.fromkeys(short(layer.name) for layer in layers))
    if len(names) < min(2, len(layers)):
        return f"{len(layers)} layers called {names[0]}"
    more = f" and {len(layers) - 2} more" if len(layers) > 2 else ""
    return " and ".join(names[:2]) + more


def _products(evidence: Evidence, record: Record) -> dict[str, float]:
    """Products that are added up for one value of the output, by the timed layer's name, where the file is at hand."""
    found = layers_in_file(record, evidence.network(record))
    sizes = {place: math.prod(abs(size) for size in layer.output_shape) for place, layer in found.items()}
    return {timed(record)[place].name: (one.macs or 0) / sizes[place] for place, one in found.items() if sizes[place]}


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


def _both(record: Record, base: Record) -> list[tuple[LayerTime, LayerTime]]:
    """(float, INT8) layers with weights that are in integers in the second."""
    return [
        (pair.first, pair.second)
        for pair in layer_pairs.pairs(timed(base), timed(record))
        if pair.first and pair.second and has_weights(pair.second) and computes_in_integers(pair.second)
    ]


def _of_little_work(evidence: Evidence, record: Record, base: Record) -> Iterator[FoundCause]:
    layers = timed(base)
    whole = sum(layer.ns for layer in layers)
    if whole:
        others = [layer for layer in layers if not has_weights(layer)]
        share = sum(layer.ns for layer in others) / whole
        if 1 - share < LEAST_WEIGHTED:
            yield FoundCause(
                "little to gain",
                f"only {1 - share:.0%} of the float file's time is in layers with weights, which INT8 makes faster",
                "Make the other layers cheaper, or fewer; INT8 then still makes the file smaller",
                share,
                _layer_evidence(others, whole),
            )
    found = record.layers
    if found is None or not found.plain_ns:
        return
    around = found.plain_ns - sum(layer.ns + _PROFILER_STEP_NS for layer in found.layers)
    if found.plain_ns < SMALL_NS and around > LEAST_OVERHEAD * found.plain_ns:
        yield FoundCause(
            "too small to matter",
            f"{around / 1e3:.1f} of {found.plain_ns / 1e3:.1f} µs of an inference are {record.runtime.name}'s own work "
            "around the layers, which no precision changes",
            evidence.deploy(record, options="--runtimes all") + " (runtimes differ most in this)",
            around / found.plain_ns,
        )


def lacks_dot_product(record: Record) -> str:
    """What the processor would need for fast 8-bit products; "" if it has it, or is not known."""
    facts = record.facts_before
    features = set(facts.cpu_features)
    kind = "x86" if {"avx2", "fma", "avx512f"} & features else "arm" if {"asimd", "neon"} & features else ""
    if not kind or record.target.device != "cpu":
        return ""
    wanted, words = _DOT_PRODUCTS[kind]
    return "" if features & set(wanted) else words


def _without_dot_product(record: Record) -> str:
    if record.artifact.format == "onnx" and "avx2" in record.facts_before.cpu_features:
        return "edgebench export --int8 --no-vnni (weights of 7 bits, for such processors), or ship the float file here"
    return "Ship the float file on this processor, or use one that has it"


def _of_processor(record: Record, base: Record, causes: Sequence[FoundCause]) -> Iterator[FoundCause]:
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


def _of_notes(record: Record, causes: Sequence[FoundCause]) -> Iterator[FoundCause]:
    """What the exporter noted of the file, where no layers were timed."""
    noted = record.artifact.notes.get("float_operators", "")
    if noted and not noted.startswith("none") and not any(cause.name == "float islands" for cause in causes):
        yield FoundCause(
            "float islands",
            f"its exporter left operators in float: {noted}",
            "edgebench inspect FILE (why each is float)",
        )


def _of_threads(evidence: Evidence, record: Record) -> Iterator[FoundCause]:
    there = len(record.runtime.cpus) or record.facts_before.cores
    if there and record.target.threads > there:
        yield FoundCause(
            "threads",
            f"{record.target.threads} threads on {there} processors: they wait for one another",
            evidence.deploy(record, options=f"--threads {there}"),
        )
    build = record.runtime.facts.get("build", "")
    if "build type=Debug" in build:
        yield FoundCause("build", f"this {record.runtime.name} is a debug build", f"pip install {record.runtime.name}")


def _missing(evidence: Evidence, record: Record, base: Record) -> Iterator[MissingEvidence]:
    yield from missing_layers(evidence, record, base)
    if not record.facts_before.cpu_features:
        yield MissingEvidence("whether the processor has dot products", f"edgebench targets check {record.target.name}")


def _count(found: Sequence[FloatStretch], word: str) -> str:
    plural = "es" if word.endswith("ch") else "s"
    return f"{len(found)} {word}{plural if len(found) > 1 else ''}"


def _is(found: Sequence[FloatStretch]) -> str:
    return "are" if len(found) > 1 else "is"


def _share(found: Sequence[FloatStretch], whole: float) -> float:
    return sum(one.ns for one in found) / whole


def _stretch_evidence(found: Sequence[FloatStretch], whole: float) -> tuple[str, ...]:
    largest = sorted(found, key=lambda one: -one.ns)[:_MOST_EVIDENCE]
    return tuple(
        f"{' '.join(layer.kind for layer in one.inside) or 'nothing'} at "
        f"{short((one.inside or one.conversions)[0].name)}: {one.ns / 1e3:.1f} µs, {one.ns / whole:.0%}, "
        f"of which conversions {sum(layer.ns for layer in one.conversions) / 1e3:.1f} µs"
        for one in largest
    )


def _layer_evidence(found: Sequence[LayerTime], whole: float) -> tuple[str, ...]:
    largest = sorted(found, key=lambda layer: -layer.ns)[:_MOST_EVIDENCE]
    return tuple(f"{short(one.name)} ({one.kind}): {one.ns / 1e3:.1f} µs, {one.ns / whole:.0%}" for one in largest)
