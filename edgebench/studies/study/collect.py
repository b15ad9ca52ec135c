"""Reads the results of a study's steps and jobs from its store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from edgebench.analysis import ratios
from edgebench.errors import BadFile
from edgebench.schema import checkpoint, record_files
from edgebench.schema.record import Record
from edgebench.schema.record_files import LoadedRecords
from edgebench.studies.audit import AuditEvidence
from edgebench.studies.audit.evidence import run_of
from edgebench.studies.study import deployment, intact
from edgebench.studies.study.file import Study
from edgebench.studies.study.matrix import Cell, Matrix
from edgebench.studies.study.results import Results, VariantResults, VariantRun
from edgebench.studies.study.store import NETWORK, StudyStore

# By the sha256 of the file that was measured.
Records = dict[str, list[Record]]


def collect(name: str, study: Study, matrix: Matrix, store: StudyStore, *, subset: bool) -> Results:
    """Variants without any result are left out."""
    records = _records(store)
    made = intact.digests(matrix, store)
    runs: dict[tuple[str, str], list[VariantRun]] = defaultdict(list)
    axes = {}
    for cell in matrix.cells:
        if cell.reading in made:
            runs[cell.part, cell.label].append(_run(cell, matrix, store, records))
            axes[cell.part, cell.label] = cell.axes
    variants = tuple(VariantResults(label, axes[part, label], tuple(found)) for (part, label), found in runs.items())
    return Results(name, study.title, study.source, variants, study.published, subset, _bands(records.values()))


def evidence(results: Results, store: StudyStore) -> AuditEvidence:
    """For the audit, including the records of the identical copies, which show the noise."""
    labelled = [(f"{variant.label} s{run.seed}", run) for variant in results.variants for run in variant.runs]
    return AuditEvidence(
        checkpoints=tuple(run.checkpoint for _, run in labelled),
        runs=tuple(run_of(run.checkpoint, label) for label, run in labelled),
        records=tuple(one for records in _records(store).values() for one in records),
        published=tuple(results.published or ()),
    )


def unreadable(store: StudyStore) -> list[BadFile]:
    """Files among its records that cannot be read: the results lack what they measured."""
    return [error for loaded in _loaded(store) for error in loaded.skipped]


def _run(cell: Cell, matrix: Matrix, store: StudyStore, records: Records) -> VariantRun:
    network = store.path(matrix.steps[cell.network]) / NETWORK
    reading = intact.network_report(matrix.steps[cell.reading], store)
    opened = checkpoint.load(network)
    bundled = deployment.bundled(cell, opened.digest, store) if cell.seed == 0 else None
    hashes = [artifact.content.sha256 for artifact in bundled.artifacts] if bundled else []
    return VariantRun(
        seed=cell.seed,
        checkpoint=opened,
        file_bytes=network.stat().st_size,
        evaluation=reading.evaluation,
        sparsity=reading.sparsity,
        packed_bytes=reading.packed_bytes,
        records=tuple(one for sha256 in hashes for one in records.get(sha256, []) if not deployment.is_copy(one)),
    )


def _records(store: StudyStore) -> Records:
    """The newest job of each target last."""
    found: Records = defaultdict(list)
    for loaded in _loaded(store):
        for one in loaded.records:
            found[one.artifact.content.sha256].append(one)
    return found


def _loaded(store: StudyStore) -> list[LoadedRecords]:
    folder = store.folder / deployment.RECORDS
    targets = sorted(path.name for path in folder.glob("*") if path.is_dir())
    return [record_files.load_target(folder, target) for target in targets]


def _bands(records: Iterable[list[Record]]) -> dict[str, float]:
    """Job -> latency of the slower of its two identical files over that of the other, if both were timed."""
    bands = {}
    for of_one_file in records:
        for copy in filter(deployment.is_copy, of_one_file):
            for one in of_one_file:
                ratio = ratios.latency_ratio(copy, one) if one.job == copy.job and one.id != copy.id else None
                if ratio:
                    bands[copy.job] = max(ratio.value, 1 / ratio.value)
    return bands
