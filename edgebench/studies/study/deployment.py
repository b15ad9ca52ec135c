"""Exports a study's networks and measures them on its targets: one job for each part and target.

In one job the rounds of all variants are interleaved, so their latencies can be compared; the part's first network is
in it twice, and a difference has to exceed that between these two identical files (the A/A band).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from edgebench import deploy, export
from edgebench.errors import UserError
from edgebench.progress import Progress
from edgebench.schema import bundle, checkpoint, record_files, targets
from edgebench.schema import plan as plans
from edgebench.schema.bundle import Bundle
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from edgebench.studies.study import intact
from edgebench.studies.study.file import Part
from edgebench.studies.study.matrix import Cell, Matrix
from edgebench.studies.study.scheduler import StudyFailure
from edgebench.studies.study.store import NETWORK, StudyStore

RECORDS = "records"
COPY = "-identical-copy"


@dataclass(frozen=True)
class Conditions:
    """How hard and where to measure. targets: by name."""

    plan: Plan
    targets: dict[str, Target]


def conditions(parts: dict[str, Part], plan: str, targets_file: Path | None) -> Conditions:
    """Raises UserError, before any long work, for an unknown plan or target."""
    names = {target for part in parts.values() if part.formats for target in part.targets}
    path = targets.find_file(targets_file)
    return Conditions(plans.named(plan), {name: targets.load(name, path) for name in sorted(names)})


def measure(
    parts: dict[str, Part], matrix: Matrix, store: StudyStore, given: Conditions, progress: Progress
) -> list[StudyFailure]:
    """Formats and targets of each part, for the networks of its first seed. Finished measurements are not repeated.

    Returns what ended with a UserError; the other parts and targets are measured nevertheless. Raises KeyboardInterrupt
    if a job was stopped; what it had measured by then is saved.
    """
    made = intact.digests(matrix, store)
    failures = []
    for name, part in parts.items():
        cells = [cell for cell in matrix.cells if (cell.part, cell.seed) == (name, 0) and cell.network in made]
        if not (part.formats and part.targets and cells):
            continue
        try:
            bundles = [_exported(cell, part, matrix, store, progress) for cell in cells]
        except UserError as error:
            failures.append(StudyFailure(f"export of {name}", error))
            continue
        for target in part.targets:
            try:
                _deploy(given.targets[target], bundles, given.plan, store.folder / RECORDS, progress)
            except UserError as error:
                failures.append(StudyFailure(f"{name} on {target}", error))
    return failures


def is_copy(one: Record) -> bool:
    return one.artifact.name.endswith(COPY)


def bundled(cell: Cell, digest: str, store: StudyStore) -> Bundle | None:
    """The bundle exported from this same network, if there is one. digest: of its checkpoint."""
    folder = _bundle_folder(cell, store)
    there = bundle.load(folder) if (folder / "bundle.json").is_file() else None
    return there if there and there.source.get("digest") == digest else None


def _bundle_folder(cell: Cell, store: StudyStore) -> Path:
    slug = "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in cell.label)
    return store.folder / "bundles" / f"{slug}-{cell.network[:6]}"


def _exported(cell: Cell, part: Part, matrix: Matrix, store: StudyStore, progress: Progress) -> Path:
    folder = _bundle_folder(cell, store)
    network = store.path(matrix.steps[cell.network]) / NETWORK
    there = bundled(cell, checkpoint.load(network).digest, store)
    if there and {f"{one.format}-{one.precision}" for one in there.artifacts} >= set(part.formats):
        return folder
    # Artifacts are named after the checkpoint's file.
    source = folder.with_suffix(".safetensors")
    source.parent.mkdir(exist_ok=True)
    shutil.copyfile(network, source)
    made = export.export(source, export.ExportOptions(formats=part.formats), out=folder, progress=progress)
    export.check_made(made, part.formats)
    return made.path


def _deploy(target: Target, bundles: Sequence[Path], plan: Plan, folder: Path, progress: Progress) -> None:
    sources = _with_a_copy(deploy.artifacts_at(bundles))
    records = _measured(sources, folder, target.name, plan)
    if not records:
        records = deploy.deploy(target, sources, plan, folder, progress=progress)
    if any(one.outcome.status == "stopped" for one in records):
        raise KeyboardInterrupt
    deploy.check_measured(sources, records)


def _with_a_copy(sources: list[deploy.LocalArtifact]) -> list[deploy.LocalArtifact]:
    first = sources[0]
    return [*sources, replace(first, artifact=msgspec.structs.replace(first.artifact, name=first.artifact.name + COPY))]


def _measured(sources: Sequence[deploy.LocalArtifact], folder: Path, target: str, plan: Plan) -> list[Record]:
    """Records of a job that measured all of them to the end, by this plan or a more thorough one; else empty."""
    presets = [one.preset for one in plans.PRESETS]
    enough = presets[presets.index(plan.preset) :]
    jobs: dict[str, list[Record]] = {}
    for one in record_files.load_target(folder, target).records:
        if one.plan.preset in enough and one.outcome.status not in ("stopped", "agent-died"):
            jobs.setdefault(one.job, []).append(one)
    wanted = {_identity(source) for source in sources}
    return next((held for held in jobs.values() if {_identity(one) for one in held} >= wanted), [])


def _identity(measured: Record | deploy.LocalArtifact) -> str:
    return f"{measured.artifact.name} {measured.artifact.sha256}"
