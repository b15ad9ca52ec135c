"""explain: records -> why a file is as fast as it is, what it costs, how often it is late; why others publish another.

records ─ their files, if at hand ─ read ─┐
                                          ├─ causes, one family a file ─ answer
        layers, facts, energy ────────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from edgebench.analysis import causes, selection
from edgebench.analysis.causes.evidence import Evidence, Wanted, int8_pairs, pruned_pairs, timed
from edgebench.analysis.causes.explanation import Explanation
from edgebench.analysis.published import difference
from edgebench.analysis.published.difference import AgainstRow
from edgebench.analysis.published.row import PublishedFigure
from edgebench.deploy import DeployOptions, LocalArtifact, deploy
from edgebench.device import at_hand
from edgebench.errors import BadFile, UserError
from edgebench.inspect import contents
from edgebench.progress import Progress, Silent
from edgebench.schema import bundle
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

BUNDLES = Path("bundles")
# Of records that were measured to explain a gap: in the results folder, but not among the others.
OWN_FOLDER = "against"
_READ = (".onnx", ".tflite")
# Folders hold other things too; so many files are hashed at most.
_MOST_FILES = 1000


@dataclass(frozen=True)
class ExplainedRecords:
    """explanations: what matters most first. answer: at most five lines. skipped: files that are not records."""

    records: Sequence[Record]
    explanations: Sequence[Explanation]
    answer: Sequence[str]
    skipped: Sequence[BadFile]


def explain(
    results: Path,
    names: Sequence[str] = (),
    wanted: Wanted = Wanted(),  # noqa: B008 - frozen
    *,
    files: Sequence[Path] = (BUNDLES,),
    progress: Progress = Silent(),  # noqa: B008 - it has no state
) -> ExplainedRecords:
    """names: targets, record files, results folders; default: the newest records of all targets. files: bundles,
    folders with them, or model files, among which the measured files are looked for.
    """
    selected = selection.select(results, names)
    found = of_records(selected.records, wanted, files=files, progress=progress)
    return ExplainedRecords(selected.records, found, causes.answer(found, len(selected.records)), selected.skipped)


def of_records(
    records: Sequence[Record],
    wanted: Wanted = Wanted(),  # noqa: B008 - frozen
    *,
    files: Sequence[Path] = (),
    progress: Progress = Silent(),  # noqa: B008 - it has no state
) -> list[Explanation]:
    """Files that cannot be found or read are evidence that is missing, not errors."""
    places = _places(records, files)
    evidence = Evidence(records, {}, wanted, {sha256: str(path) for sha256, path in places.items()})
    needed = {one.artifact.sha256 for pair in (*int8_pairs(evidence), *pruned_pairs(evidence)) for one in pair}
    needed |= {one.artifact.sha256 for one in records if timed(one) or one.artifact.precision == "unknown"}
    there = sorted(sha256 for sha256 in needed & places.keys() if places[sha256].suffix in _READ)
    read = contents([places[sha256] for sha256 in there], progress) if there else []
    networks = {sha256: one for sha256, one in zip(there, read, strict=True) if one is not None}
    return causes.explain(Evidence(records, networks, wanted, evidence.places))


def _places(records: Sequence[Record], files: Sequence[Path]) -> dict[str, Path]:
    """{artifact.sha256: path} of the measured files that are in these places, by content."""
    wanted = {one.artifact.content.sha256: one.artifact for one in records}
    sizes = {one.content.size_bytes for one in wanted.values()}
    found: dict[str, Path] = {}
    for path in _candidates(files)[:_MOST_FILES]:
        if len(found) == len(wanted):
            break
        if path.stat().st_size in sizes:
            artifact = wanted.get(bundle.file_ref(path.parent, path).sha256)
            if artifact is not None:
                found.setdefault(artifact.sha256, path)
    return found


def _candidates(files: Sequence[Path]) -> list[Path]:
    """Model files at these paths, and below those that are folders."""
    found: dict[Path, None] = {}
    for path in files:
        if path.is_dir():
            found |= dict.fromkeys(
                one for form in bundle.FORMAT_OF_SUFFIX for one in sorted(path.rglob(f"*{form}")) if one.is_file()
            )
        elif path.is_file():
            found[path] = None
    return list(found)


@dataclass(frozen=True)
class MeasureHere:
    """What can be changed of a record's conditions is measured on `target`; places: where its file is looked for."""

    target: Target
    places: Sequence[Path]
    results: Path


def against(record: Record, row: PublishedFigure, here: MeasureHere | None, progress: Progress) -> AgainstRow:
    """What differs between a record and a published row, and how much of the gap it explains: the statistic, and if
    `here` is given threads, runtime and precision, each changed alone and all together, in one job.
    """
    found = difference.against(record, row)
    if here is None or not found.needs_measuring:
        return found
    changes = {one.name for one in found.to_change}
    wanted = _files(record, row, here.places, other="precision" in changes)
    runtimes = [record.runtime.name, *([row.runtime] if "runtime" in changes and row.runtime else [])]
    threads = [record.target.threads, *([row.threads] if "threads" in changes and row.threads else [])]
    target = replace(here.target, device=record.target.device, runtimes=tuple(runtimes))
    plan = replace(record.plan, accuracy=False, layers_s=0.0, energy_windows=0)
    options = DeployOptions(every_runtime=True, threads=tuple(threads), wait=True)
    records = deploy(target, wanted, plan, here.results / OWN_FOLDER, options, progress=progress)
    return difference.with_measured(found, records)


def _files(record: Record, row: PublishedFigure, places: Sequence[Path], *, other: bool) -> list[LocalArtifact]:
    """The record's file, and of its bundle the one in the row's precision."""
    own = at_hand.find(record, places)
    if own is None:
        raise UserError(
            record.artifact.name, f"its file is not in {at_hand.said(places)}", "Give its bundle or file: --files PATH"
        )
    if not other or not (own.folder / "bundle.json").is_file():
        return [own]
    made = bundle.load(own.folder).artifacts
    alike = [one for one in made if (one.format, one.precision) == (own.artifact.format, row.precision)]
    return [own, *(LocalArtifact(one, own.folder) for one in alike)]
