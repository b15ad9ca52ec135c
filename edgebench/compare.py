"""compare: records -> one table; what must not be compared gets a reason in place of a ratio.

newest record of each artifact and target ─ verdict ─ estimates ─ ratio to the baseline ─ outputs bit by bit
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from edgebench.analysis import (
    baselines,
    between_jobs,
    comparability,
    device_scores,
    energy_ratios,
    labels,
    ratios,
    record_statistics,
    same_outputs,
    stats,
)
from edgebench.analysis.between_jobs import Deviation
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.energy import per_inference
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.schema import record_files
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record
from edgebench.schema.record_files import LoadedRecords


def compare(
    records: Sequence[Record],
    *,
    baseline: str | None = None,
    intensity_g_per_kwh: float | None = None,
    history: Iterable[Record] = (),
) -> Comparison:
    """One row per record, in the given order.

    baseline: an artifact's name, target/artifact, or label/artifact; default: the first row. Invalid records are never
    the baseline and have no ratio. Times of emulated targets are compared only with the same target's. history: further
    records, which show by how much two jobs of one file differ on a target; `history` finds them. intensity_g_per_kwh:
    from the user; default: that of the country given to `deploy --carbon`.
    """
    found = [record_statistics.of(record) for record in records]
    labelled = labels.of(records)
    chosen = baselines.choose(found, labelled, baseline)
    deviations = between_jobs.deviations(chain(records, history)) if _has_several_jobs(records) else {}
    rows = (
        _row(one, label, chosen.counterpart(one.record), deviations, intensity_g_per_kwh)
        for one, label in zip(found, labelled, strict=True)
    )
    return Comparison(tuple(rows), same_outputs.matches(records), intensity_g_per_kwh)


def _has_several_jobs(records: Sequence[Record]) -> bool:
    return len({record.job for record in records}) > 1


def history(records: Sequence[Record]) -> Iterator[Record]:
    """If these records come from several jobs: all other readable records in the folders that they were loaded from."""
    if not _has_several_jobs(records):
        return
    here = {record.path for record in records if record.path is not None}
    targets = {record.target.name for record in records}
    folders = {path.parent for path in here if path.parent.name in targets}
    for path in sorted({path for folder in folders for path in folder.glob("*.json")} - here):
        with suppress(UserError):
            yield record_files.load(path)


def select(results: Path, named: Iterable[str]) -> LoadedRecords:
    """The records that the command line names: files, targets (the newest record of each artifact), or folders.

    A folder stands for every target in it; no names at all, for every target with results. Unreadable files are
    skipped, so the newest record is the newest readable one.
    """
    targets = _targets(results)
    selected: list[Record] = []
    skipped: list[BadFile] = []
    for name in list(named) or [str(results)]:
        if name in targets:
            found = [_newest_of(results, name)]
        elif Path(name).is_file():
            found = [record_files.load_all([Path(name)])]
        elif Path(name).is_dir() or Path(name) == results:
            found = _of_all_targets(Path(name))
        else:
            raise UnknownName(f"target with records in {results}", name, targets)
        selected += [record for one in found for record in one.records]
        skipped += [error for one in found for error in one.skipped]
    return LoadedRecords(selected, skipped)


def _newest_of(results: Path, target: str) -> LoadedRecords:
    loaded = record_files.load_target(results, target)
    return LoadedRecords(newest(loaded.records), loaded.skipped)


def _targets(results: Path) -> list[str]:
    return list(dict.fromkeys(sorted(path.parent.name for path in results.glob("*/*.json"))))


def _of_all_targets(results: Path) -> list[LoadedRecords]:
    targets = _targets(results)
    if not targets:
        raise UserError(str(results), "contains no records", "Measure something first: edgebench deploy")
    return [_newest_of(results, target) for target in targets]


def newest(records: Iterable[Record]) -> list[Record]:
    """The last record of each artifact in each runtime, from records sorted by age; a model's files together."""
    latest: dict[tuple[str, str], Record] = {}
    for record in records:
        latest.pop((record.artifact.name, record.runtime.name), None)
        latest[record.artifact.name, record.runtime.name] = record
    return sorted(latest.values(), key=_reading_order)


def _reading_order(record: Record) -> tuple[str, str, int]:
    """A model's files together, the float ones before those made from them."""
    precisions = ["fp32", "fp16", "int8", "unknown"]
    artifact = record.artifact
    source = artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")
    return source, artifact.format, precisions.index(artifact.precision)


def _row(
    one: RecordStatistics,
    label: str,
    chosen: Record | None,
    deviations: Mapping[str, Deviation],
    given_g_per_kwh: float | None,
) -> ComparisonRow:
    record, is_baseline = one.record, one.record is chosen
    baseline = None if one.verdict.level == "invalid" else chosen
    spread = between_jobs.spread(record, baseline, deviations) if baseline else None
    ratio = ratios.latency_ratio(record, baseline, spread) if baseline else None
    of_plan = record.plan.carbon_g_per_kwh, record.plan.carbon_source
    intensity, source = of_plan if given_g_per_kwh is None else (given_g_per_kwh, "given by the user")
    energy, no_energy = _energy(record)
    compared = energy if baseline and not is_baseline else ()
    return ComparisonRow(
        **vars(one),
        label=label,
        energy=energy,
        no_energy=no_energy,
        energy_ratios=tuple(energy_ratios.ratio(record, baseline, joules, spread) for joules in compared if baseline),
        is_baseline=is_baseline,
        ratio=ratio,
        no_ratio="" if ratio else _why_no_ratio(one, baseline),
        differences=comparability.differences(record, baseline) if baseline else (),
        accuracy_change=_accuracy_change(record, baseline) if baseline else None,
        score_change=device_scores.change(record, baseline) if baseline else None,
        intensity_g_per_kwh=intensity,
        intensity_source=source,
    )


def _why_no_ratio(one: RecordStatistics, baseline: Record | None) -> str:
    if one.verdict.level == "invalid":
        return "its record is invalid"
    if baseline is None:
        return "no record can be the baseline"
    return ratios.batches_unlike(one.record, baseline) or "one of the two has no rounds"


def _accuracy_change(record: Record, baseline: Record) -> Estimate | None:
    if record is baseline or record.answers is None or baseline.answers is None:
        return None
    return stats.accuracy_difference(record.answers, baseline.answers)


def _energy(record: Record) -> tuple[tuple[EnergyPerInference, ...], tuple[str, ...]]:
    """Joules from each meter that measured, and the reasons of the others, even if the job died before reading them."""
    if record.energy:
        return per_inference.of_record(record)
    missing = [f"{name}: {one.note}" for name, one in record.facts_before.meters.items() if not one.available]
    return (), tuple(missing) or ("no meter was used",)
