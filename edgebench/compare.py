"""compare(): records -> one table, with what may not be compared said instead of printed.

newest record of each artifact and target ─ verdict ─ estimates ─ ratio to the baseline ─ outputs bit by bit
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgebench import energy as energy_
from edgebench import record as records_
from edgebench import stats, verdict
from edgebench.energy import EnergyPerInference
from edgebench.errors import UnknownName, UserError
from edgebench.record import Record
from edgebench.stats import Estimate, Ratio
from edgebench.verdict import Verdict


@dataclass(frozen=True)
class Row:
    """One artifact on one target. An estimate is None where nothing was measured.

    p50_ns: the median of the rounds' means where rounds are means (record.means_only).
    ratio: median latency over the baseline's; `no_ratio` says why there is none. differences: conditions that
    are not the baseline's. energy: for each meter and scope; `no_energy` says of every other meter why there is none.
    energy_ratios: net joules over the baseline's, for each of `energy`, or why there is no ratio; never across scopes.
    """

    record: Record
    verdict: Verdict
    p50_ns: Estimate | None
    p90_ns: Estimate | None
    p99_ns: Estimate | None
    throughput_hz: float | None
    energy: tuple[EnergyPerInference, ...]
    no_energy: tuple[str, ...]
    energy_ratios: tuple[Ratio | str, ...]
    is_baseline: bool
    ratio: Ratio | None
    no_ratio: str
    differences: tuple[str, ...]
    accuracy_change: Estimate | None = None
    """On the device, against the baseline's there, image by image."""

    @property
    def device_accuracy(self) -> Estimate | None:
        return stats.accuracy(self.record.answers) if self.record.answers else None

    @property
    def high_water_bytes(self) -> int | None:
        return self.record.memory.running.get("high_water_bytes") if self.record.memory else None


@dataclass(frozen=True)
class OutputsMatch:
    """The same file's answers to the golden inputs on two targets: float32 outputs, bit by bit."""

    artifact: str
    target: str
    other: str
    identical: bool
    max_abs_diff: float
    top1_agreement: float


@dataclass(frozen=True)
class Comparison:
    """intensity_g_per_kwh: of the electricity, as the user gives it; None if it is not asked for."""

    rows: tuple[Row, ...]
    outputs: tuple[OutputsMatch, ...]
    intensity_g_per_kwh: float | None = None


def compare(
    records: Sequence[Record], *, baseline: str | None = None, intensity_g_per_kwh: float | None = None
) -> Comparison:
    """One row per record, in the given order.

    baseline: an artifact's name or target/artifact; by default the first row. Times of emulated targets are
    compared with their own target's only.
    """
    chosen = _baseline(records, baseline)
    return Comparison(
        tuple(_row(record, _counterpart(record, chosen, records)) for record in records),
        _matches(records),
        intensity_g_per_kwh,
    )


def select(results: Path, named: Iterable[str]) -> list[Record]:
    """The records that the command line names: files, targets (the newest record of each artifact there), or folders.

    Nothing named: every target that has results; a folder named: every target of that folder.
    """
    targets = _targets(results)
    selected: list[Record] = []
    for name in list(named) or [str(results)]:
        if name in targets:
            selected += newest(records_.load_target(results, name))
        elif Path(name).is_file():
            selected.append(records_.load(Path(name)))
        elif Path(name).is_dir() or Path(name) == results:
            selected += _of_all_targets(Path(name))
        else:
            raise UnknownName(f"target with records in {results}", name, targets)
    return selected


def _targets(results: Path) -> list[str]:
    return list(dict.fromkeys(sorted(path.parent.name for path in results.glob("*/*.json"))))


def _of_all_targets(results: Path) -> list[Record]:
    targets = _targets(results)
    if not targets:
        raise UserError(str(results), "there are no records in it", "Measure something first: edgebench deploy")
    return [record for target in targets for record in newest(records_.load_target(results, target))]


def newest(records: Iterable[Record]) -> list[Record]:
    """Of records sorted by age, the last of each artifact; a model's files together."""
    latest: dict[str, Record] = {}
    for record in records:
        latest.pop(record.artifact.name, None)
        latest[record.artifact.name] = record
    return sorted(latest.values(), key=_reading_order)


def _reading_order(record: Record) -> tuple[str, str, int]:
    """A model's files together, the floats before what was made from them."""
    precisions = ["fp32", "fp16", "int8", "unknown"]
    artifact = record.artifact
    source = artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")
    return source, artifact.format, precisions.index(artifact.precision)


def _baseline(records: Sequence[Record], name: str | None) -> Record:
    if name is None:
        measured = [record for record in records if record.rounds]
        real = [record for record in measured if not record.target.emulated]
        return (real or measured or list(records))[0]
    for record in records:
        if name in (record.artifact.name, f"{record.target.name}/{record.artifact.name}"):
            return record
    raise UnknownName("artifact among the records", name, [record.artifact.name for record in records])


def _counterpart(record: Record, baseline: Record, records: Sequence[Record]) -> Record:
    """The baseline that this record may be compared with: of an emulated target, the same artifact there."""
    if record.target == baseline.target or not (record.target.emulated or baseline.target.emulated):
        return baseline
    own = [other for other in records if other.target == record.target]
    measured = [other for other in own if other.rounds]
    same = [other for other in measured if other.artifact.name == baseline.artifact.name]
    return (same or measured or own)[0]


def _row(record: Record, baseline: Record) -> Row:
    ratio = stats.latency_ratio(record, baseline)
    energy, no_energy = _energy(record)
    return Row(
        record=record,
        verdict=verdict.judge(record),
        p50_ns=stats.latency_ns(record.rounds, 0.5),
        p90_ns=None if record.means_only else stats.latency_ns(record.rounds, 0.9),
        p99_ns=None if record.means_only else stats.latency_ns(record.rounds, 0.99),
        throughput_hz=stats.throughput_hz(record.rounds),
        energy=energy,
        no_energy=no_energy,
        energy_ratios=() if record is baseline else tuple(energy_.ratio(record, baseline, one) for one in energy),
        is_baseline=record is baseline,
        ratio=ratio,
        no_ratio="" if ratio else "one of the two has no rounds",
        differences=_differences(record, baseline),
        accuracy_change=_accuracy_change(record, baseline),
    )


def _accuracy_change(record: Record, baseline: Record) -> Estimate | None:
    if record is baseline or record.answers is None or baseline.answers is None:
        return None
    return stats.accuracy_difference(record.answers, baseline.answers)


def _energy(record: Record) -> tuple[tuple[EnergyPerInference, ...], tuple[str, ...]]:
    """Joules of the meters that say some, and why the others say none: also if the job died before it asked them."""
    if record.energy:
        return energy_.of_record(record)
    missing = [f"{name}: {one.note}" for name, one in record.facts_before.meters.items() if not one.available]
    return (), tuple(missing) or ("no meter was asked",)


def _differences(record: Record, baseline: Record) -> tuple[str, ...]:
    """Conditions that a fair comparison holds equal and that are not equal here."""
    conditions: dict[str, tuple[object, object]] = {
        "runs": (_place(record), _place(baseline)),
        "threads": (_threads(record), _threads(baseline)),
        "plan": (record.plan.preset, baseline.plan.preset),
    }
    if record.target.name == baseline.target.name:
        conditions["processors"] = record.runtime.cpus or None, baseline.runtime.cpus or None
        own, base = record.facts_before, baseline.facts_before
        conditions |= {
            "device": (own.model, base.model),
            "processor": (own.cpu, base.cpu),
            "governor": (own.governor, base.governor),
            "kernel": (own.kernel, base.kernel),
        }
        if record.runtime.name == baseline.runtime.name:
            versions = record.runtime.facts.get("version"), baseline.runtime.facts.get("version")
            conditions[record.runtime.name] = versions
    return tuple(
        f"{name}: {own}, baseline {base}"
        for name, (own, base) in conditions.items()
        if None not in (own, base) and own != base
    )


def _threads(record: Record) -> int:
    """As it ran where that is known, else as it was asked for."""
    return record.runtime.threads or record.target.threads


def _place(record: Record) -> str:
    if record.means_only:
        return "in benchmark_model (means)"
    return "in a browser (wasm)" if record.in_browser else "natively"


def _matches(records: Sequence[Record]) -> tuple[OutputsMatch, ...]:
    """For every file that answered golden inputs on several targets: each target against the first."""
    first: dict[str, Record] = {}
    matches = []
    for record in records:
        if record.golden is None:
            continue
        sha256 = record.artifact.content.sha256
        other = first.setdefault(sha256, record)
        if other.target.name != record.target.name and _same_questions(record, other):
            matches.append(_match(record, other))
    return tuple(matches)


def _same_questions(record: Record, other: Record) -> bool:
    """Whether both answered the same golden inputs."""
    assert record.golden is not None and other.golden is not None
    ours, theirs = record.artifact.golden, other.artifact.golden
    same_inputs = (ours and ours.inputs.sha256) == (theirs and theirs.inputs.sha256)
    return same_inputs and record.golden.count == other.golden.count


def _match(record: Record, other: Record) -> OutputsMatch:
    own, theirs = _outputs(record), _outputs(other)
    return OutputsMatch(
        artifact=record.artifact.name,
        target=record.target.name,
        other=other.target.name,
        identical=own.tobytes() == theirs.tobytes(),
        max_abs_diff=float(np.abs(own - theirs).max()),
        top1_agreement=float((own.argmax(1) == theirs.argmax(1)).mean()),
    )


def _outputs(record: Record) -> np.ndarray:
    """Golden outputs, float32 [count, classes]."""
    assert record.golden is not None
    flat = np.frombuffer(base64.b64decode(record.golden.outputs_base64), dtype="<f4")
    return flat.reshape(record.golden.count, -1)
