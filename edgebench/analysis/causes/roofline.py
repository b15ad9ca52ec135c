"""Roofline: how much of what the device can compute and move each layer gets, and which of the two binds it.

A layer cannot take less time than its products at the device's peak, nor than its bytes at the device's bandwidth
(Williams, Waterman and Patterson, Communications of the ACM 52, 2009). Bytes: weights, input, output, each moved once.
Bytes that arrive faster than main memory delivers them come from caches, and do not bind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgebench.analysis.causes.evidence import (
    Evidence,
    computes_in_integers,
    layers_in_file,
    measured,
    short,
    timed,
    where,
)
from edgebench.analysis.causes.explanation import Explanation, FoundCause, MissingEvidence
from edgebench.analysis.causes.peaks import Peaks, peaks_of
from edgebench.schema.inspection import NetworkInFile
from edgebench.schema.layer_times import LayerTime
from edgebench.schema.record import Record

# A layer is bound by what it gets at least this share of; less is overhead, or a kernel that does not fit.
BOUND = 0.4
LOW = 0.1
CACHED = 1.1
# Layers below this share of the time are not named.
NOTABLE = 0.1
_MOST_EVIDENCE = 8


@dataclass(frozen=True)
class LayerRoof:
    """compute_ns, memory_ns: the least that its products and its bytes take at the device's peaks."""

    timed: LayerTime
    compute_ns: float
    memory_ns: float

    @property
    def attained(self) -> float:
        """Share of what the device could do."""
        return max(self.compute_ns, self.memory_ns) / self.timed.ns if self.timed.ns else 0.0

    @property
    def is_memory_bound(self) -> bool:
        return self.memory_ns > self.compute_ns


def explain(evidence: Evidence) -> Iterator[Explanation]:
    without_peaks, without_file = [], []
    for record in measured(evidence.records):
        if not timed(record):
            continue
        peaks, network = peaks_of(record), evidence.network(record)
        if peaks is None:
            without_peaks.append(record)
        elif network is None:
            without_file.append(record)
        elif roofs := list(_roofs(record, network, peaks)):
            yield _of(evidence, record, roofs, peaks)
    if without_peaks:
        again = evidence.deploy(*without_peaks, options="--layers")
        yield _unknown(without_peaks, MissingEvidence("what the device can compute and move at most", again))
    if without_file:
        what = "MACs and bytes of the layers: the files are not at hand"
        targets = " ".join(dict.fromkeys(record.target.name for record in without_file))
        yield _unknown(without_file, MissingEvidence(what, f"edgebench explain {targets} --files FOLDER", is_file=True))


def _unknown(records: list[Record], missing: MissingEvidence) -> Explanation:
    subject = _subject(records[0]) if len(records) == 1 else f"{len(records)} records with layers"
    return Explanation("roofline", subject, f"{subject}: not known", missing=(missing,))


def _subject(record: Record) -> str:
    return f"{record.artifact.name} {where(record)}"


def _roofs(record: Record, network: NetworkInFile, peaks: Peaks) -> Iterator[LayerRoof]:
    inputs, layers = _input_bytes(network), timed(record)
    for place, layer in layers_in_file(record, network).items():
        own = layers[place]
        rate = peaks.macs_per_s(integer=computes_in_integers(own))
        moved = layer.weights_bytes + (layer.activation_bytes or 0) + inputs.get(layer.number, 0)
        if own.ns and rate:
            yield LayerRoof(own, 1e9 * (layer.macs or 0) / rate, 1e9 * moved / peaks.bytes_per_s)


def _input_bytes(network: NetworkInFile) -> dict[int, int]:
    """Of each layer, by number: what the layer before it left, which holds for networks without branches."""
    found, before = {}, 0
    for layer in network.layers:
        found[layer.number] = before
        before = layer.activation_bytes or before
    return found


def _without_cached(roofs: list[LayerRoof]) -> list[LayerRoof]:
    """Bytes bind only layers that main memory serves: none of a network that is served faster as a whole."""
    everything = sum(one.memory_ns for one in roofs) > sum(one.timed.ns for one in roofs)
    return [
        replace(one, memory_ns=0.0) if everything or one.memory_ns > CACHED * one.timed.ns else one for one in roofs
    ]


def _of(evidence: Evidence, record: Record, roofs: list[LayerRoof], peaks: Peaks) -> Explanation:
    served = _without_cached(roofs)
    cached = sum(one.memory_ns != other.memory_ns for one, other in zip(roofs, served, strict=True))
    whole = sum(layer.ns for layer in timed(record))
    spent = sum(roof.timed.ns for roof in served)
    least = sum(max(roof.compute_ns, roof.memory_ns) for roof in served)
    notable = [one for one in served if one.timed.ns >= NOTABLE * whole]
    causes = (*_bound_by_memory(notable, whole, peaks), *_far_from_peak(evidence, record, notable, whole))
    notes = [
        peaks.words(),
        "Bytes of a layer: weights, input and output, each moved once; no branches assumed.",
        f"The data of {cached} of {len(roofs)} layers come from caches, not from main memory." if cached else "",
    ]
    return Explanation(
        "roofline",
        _subject(record),
        f"{record.artifact.name}: its layers with weights get {least / spent:.0%} of what the device can do",
        causes,
        notes=tuple(filter(None, notes)),
        concern=0.3 if causes else 0.0,
    )


def _bound_by_memory(roofs: list[LayerRoof], whole_ns: float, peaks: Peaks) -> Iterator[FoundCause]:
    bound = [one for one in roofs if one.is_memory_bound and one.attained >= BOUND]
    if bound:
        yield FoundCause(
            "bound by memory",
            f"{_named(bound)} wait{'s' if len(bound) == 1 else ''} for memory: {_bytes_rate(bound)} of "
            f"{peaks.bytes_per_s / 1e9:.1f} GB/s; more threads or faster arithmetic will not help",
            "edgebench export NETWORK --int8 (a quarter of the bytes), or fewer weights there: edgebench prune NETWORK",
            sum(one.timed.ns for one in bound) / whole_ns,
            tuple(map(_line, bound[:_MOST_EVIDENCE])),
        )


def _far_from_peak(evidence: Evidence, record: Record, roofs: list[LayerRoof], whole_ns: float) -> Iterator[FoundCause]:
    low = [one for one in roofs if one.attained < LOW]
    if low:
        yield FoundCause(
            "kernels far from the peak",
            f"{_named(low)} get{'s' if len(low) == 1 else ''} less than {LOW:.0%} of what the device can do",
            evidence.deploy(record, options="--runtimes all") + " (kernels of other runtimes)",
            sum(one.timed.ns for one in low) / whole_ns,
            tuple(map(_line, low[:_MOST_EVIDENCE])),
        )


def _named(roofs: list[LayerRoof]) -> str:
    more = f" and {len(roofs) - 3} more" if len(roofs) > 3 else ""
    return ", ".join(short(one.timed.name) for one in roofs[:3]) + more


def _bytes_rate(bound: list[LayerRoof]) -> str:
    return f"{sum(one.attained * one.timed.ns for one in bound) / sum(one.timed.ns for one in bound):.0%}"


def _line(one: LayerRoof) -> str:
    by = "memory" if one.is_memory_bound else "arithmetic"
    name, took = f"{short(one.timed.name)} ({one.timed.kind})", one.timed.ns / 1e3
    return (
        f"{name}: {took:.1f} µs, at least {one.compute_ns / 1e3:.1f} for its products and "
        f"{one.memory_ns / 1e3:.1f} for its bytes: {one.attained:.0%} of the roof, bound by {by}"
    )
