"""What causes are found in: records, what is in their files where those are at hand, and which belong together."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from edgebench.analysis import between_jobs, layer_pairs, ratios, same_again
from edgebench.analysis.causes.explanation import MissingEvidence
from edgebench.analysis.ratios import Ratio
from edgebench.energy.carbon import Grid
from edgebench.schema.inspection import Layer, NetworkInFile, is_quantised
from edgebench.schema.layer_times import LayerTime, LayerTimes
from edgebench.schema.record import Record

_PRECISION_IN_NAME = re.compile(
    r"[-_.]?(static|dynamic)?[-_.]?(int8|uint8|u8|quant(i[sz]ed)?|qdq|fp32|fp16|float(32|16)?)(?![a-z])", re.IGNORECASE
)
_INTEGER_KINDS = re.compile(r"^QLinear|^QGemm$|Integer$|^QAttention$")
_MOST_NAMED = 2
_MOST_BY_NAME = 6
_LONGEST_NAME = 48
_MOST_EVIDENCE = 5
_INTEGER_PRECISIONS = ("u8", "i8", "s8", "int8", "uint8")


@dataclass(frozen=True)
class Wanted:
    """What the user asked beyond causes. battery_wh with per_second: inferences a second on a battery."""

    deadline_ns: float | None = None
    battery_wh: float | None = None
    per_second: float | None = None
    grid: Grid | None = None


@dataclass(frozen=True)
class Evidence:
    """networks: of files at hand, by the record's artifact.sha256. places: the paths of those files."""

    records: Sequence[Record]
    networks: Mapping[str, NetworkInFile] = field(default_factory=dict)
    wanted: Wanted = Wanted()
    places: Mapping[str, str] = field(default_factory=dict)

    def network(self, record: Record) -> NetworkInFile | None:
        return self.networks.get(record.artifact.sha256)

    def deploy(self, *records: Record, options: str) -> str:
        """The command that measures these files again as they were, with more options; many files by their folders, and
        files that are not at hand by what they are called here: their paths would not work as printed.
        """
        once = {one.artifact.sha256: one.artifact for one in records}
        paths = [self.places[sha256] for sha256 in once if sha256 in self.places]
        again = same_again.options(records, options)
        command = shlex.join(["edgebench", "deploy", "--target", records[0].target.name, *again]) + f" {options}"
        if len(paths) < len(once):
            return f"{command} {_by_names([artifact.name for artifact in once.values()])}"
        if len(paths) > _MOST_NAMED:
            folders = dict.fromkeys(str(Path(path).parent) for path in paths if Path(path).parent != Path())
            paths = list(folders) or paths
        return f"{command} {' '.join(map(shlex.quote, paths))}"

    def is_integer(self, record: Record) -> bool:
        """Whether it is an INT8 file: by its bundle, else by its content, else by what ran."""
        if record.artifact.precision != "unknown":
            return record.artifact.precision == "int8"
        network = self.network(record)
        if network is not None:
            return is_quantised(network)
        return any(computes_in_integers(layer) for layer in timed(record))

    def is_float(self, record: Record) -> bool:
        """Known to be float32, or from elsewhere and known not to be quantised."""
        if record.artifact.precision != "unknown":
            return record.artifact.precision == "fp32"
        return not self.is_integer(record) and (self.network(record) is not None or bool(timed(record)))


def _by_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_BY_NAME} more" if len(names) > _MOST_BY_NAME else ""
    return f"FILE{'S' * (len(names) > 1)} (of {', '.join(names[:_MOST_BY_NAME])}{more})"


def timed(record: Record) -> tuple[LayerTime, ...]:
    """Its layers, each less what the profiler adds to it, which matters for layers of microseconds: together they take
    no more than an inference without the profiler.
    """
    if record.layers is None or not record.layers.layers:
        return ()
    added = profiler_ns(record.layers)
    return tuple(replace(layer, ns=max(0.0, layer.ns - added)) for layer in record.layers.layers)


def profiler_ns(found: LayerTimes) -> float:
    """What the profiler adds to a layer, if it adds the same to each; no less than that is added."""
    if not found.plain_ns or not found.layers:
        return 0.0
    return max(0.0, sum(layer.ns for layer in found.layers) - found.plain_ns) / len(found.layers)


def computes_in_integers(layer: LayerTime) -> bool:
    return bool(_INTEGER_KINDS.search(layer.kind)) or (
        layer.precision in _INTEGER_PRECISIONS and layer_pairs.kind_of(layer) != layer_pairs.CONVERSION
    )


def short(name: str) -> str:
    """A layer's name as people can read it: converters write whole paths of modules."""
    if len(name) <= _LONGEST_NAME:
        return name
    parts = [part for part in name.split(";") if part] or [name]
    return parts[0].rsplit("/", 1)[-1][-_LONGEST_NAME:]


def layer_evidence(found: Sequence[LayerTime], whole_ns: float) -> tuple[str, ...]:
    """The slowest of these layers, each with its time and its share of all."""
    slowest = sorted(found, key=lambda layer: -layer.ns)[:_MOST_EVIDENCE]
    return tuple(f"{short(one.name)} ({one.kind}): {one.ns / 1e3:.1f} µs, {one.ns / whole_ns:.0%}" for one in slowest)


def has_weights(layer: LayerTime) -> bool:
    return layer_pairs.kind_of(layer) in ("Conv", "MatMul")


def measured(records: Sequence[Record]) -> list[Record]:
    """Those with times that stand for something."""
    return [one for one in records if one.rounds and (one.golden is None or one.golden.passed)]


def int8_pairs(evidence: Evidence) -> Iterator[tuple[Record, Record]]:
    """(INT8, float) of one network in one format and runtime on one target, of one job where there is a choice."""
    for group in _groups(evidence.records, network_name):
        floats = [one for one in group if evidence.is_float(one)]
        for record in group:
            if floats and evidence.is_integer(record):
                yield record, _nearest(record, floats)


def network_name(record: Record) -> str:
    """What files of one network share, whatever they are computed in."""
    artifact = record.artifact
    if artifact.precision != "unknown":
        return artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")
    return _PRECISION_IN_NAME.sub("", artifact.name.removesuffix(f"-{artifact.format}")).lower()


def pruned_pairs(evidence: Evidence) -> Iterator[tuple[Record, Record]]:
    """(pruned, dense) of one model in one format, precision and runtime on one target: fewer MACs or parameters, or
    zeros that its exporter noted.
    """
    for group in _groups(evidence.records, lambda record: (record.artifact.model, record.artifact.precision)):
        known = [one for one in group if one.artifact.model and one.artifact.parameters]
        if not known:
            continue
        most = max(one.artifact.parameters or 0 for one in known)
        dense = [one for one in known if one.artifact.parameters == most and "zeros" not in one.artifact.notes]
        for record in known:
            is_smaller = (record.artifact.parameters or 0) < most
            if dense and (is_smaller or "zeros" in record.artifact.notes):
                yield record, _nearest(record, dense)


def _groups(records: Sequence[Record], same: Callable[[Record], object]) -> list[list[Record]]:
    found: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in measured(records):
        what = same(record)
        found[what, record.artifact.format, record.runtime.name, record.target.name, record.target.threads].append(
            record
        )
    return list(found.values())


def _nearest(record: Record, others: Sequence[Record]) -> Record:
    """Of the same job, else the newest."""
    return next((one for one in reversed(others) if one.job == record.job), others[-1])


def ratio(record: Record, base: Record) -> Ratio | None:
    """Times of the first over those of the second."""
    return ratios.latency_ratio(record, base, between_jobs.spread(record, base, {}))


def where(record: Record) -> str:
    return f"in {record.runtime.name} on {record.target.name}"


def layers_in_file(record: Record, network: NetworkInFile | None) -> dict[int, Layer]:
    """{place among the timed layers: the layer in the file}, for layers with weights: by their names, else by their
    order, if there are as many.
    """
    if network is None:
        return {}
    own = [(place, layer) for place, layer in enumerate(timed(record)) if has_weights(layer)]
    of_file = [layer for layer in network.layers if layer.macs and layer.weights]
    by_name = {layer.name: layer for layer in of_file}
    named = {place: by_name[layer.name] for place, layer in own if layer.name in by_name}
    if len(named) == len(own) or len(own) != len(of_file):
        return named
    return {place: other for (place, _), other in zip(own, of_file, strict=True)}


def missing_layers(evidence: Evidence, record: Record, base: Record) -> Iterator[MissingEvidence]:
    lacking = [one for one in (record, base) if not timed(one)]
    told = [one.layers.reason for one in lacking if one.layers is not None and one.layers.reason]
    if told:
        yield MissingEvidence(
            f"where the time goes: {record.runtime.name} shows no layers ({told[0]})",
            evidence.deploy(base, record, options="--layers --runtimes all"),
        )
    elif lacking:
        yield MissingEvidence("where the time goes, layer by layer", evidence.deploy(base, record, options="--layers"))
