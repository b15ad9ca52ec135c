"""results: what was measured and kept, listed, shown, removed, and pushed to where others look.

results/<target>/<id>.json ─ read, with verdict and statistics ─┬─ results()   a line each, damaged files with why
                                                                ├─ found()     one of them, by name
                                                                ├─ remove()    files inside the folder, nothing else
                                                                └─ push()      runs of an MLflow experiment
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from edgebench.analysis import comparability, mlflow_runs, record_statistics, statistics_cache, tidy
from edgebench.analysis.mlflow_runs import PushedRuns
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.progress import Progress, Silent
from edgebench.schema import publication
from edgebench.schema.record import Record
from edgebench.schema.record_files import LoadedRecords, load

_NONE = "Measure something first: edgebench deploy"
_MOST_NAMED = 5


@dataclass(frozen=True)
class WantedRecords:
    """Which records: of this target, made since then, and whose artifact, `target/artifact`, runtime or name fits a
    glob. Damaged files have no more than a folder and a name.
    """

    target: str | None = None
    after: datetime | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class KeptRecords:
    """Records, oldest first, and for each damaged file the reason."""

    records: list[Record]
    damaged: list[BadFile]


def results(folder: Path, wanted: WantedRecords = WantedRecords()) -> KeptRecords:  # noqa: B008 - frozen
    """folder: or a publication. Raises UserError if there are none at all, or none of that target."""
    published = publication.load(folder) if publication.is_publication(folder) else []
    paths = [one.path for one in published if one.path] or _paths(folder)
    if wanted.target is not None:
        targets = {path.parent.name for path in paths}
        if wanted.target not in targets:
            raise UnknownName(f"target with records in {folder}", wanted.target, targets)
        paths = [path for path in paths if path.parent.name == wanted.target]
    inside = [one for one in published if one.path in paths]
    loaded = LoadedRecords(inside, []) if published else statistics_cache.load_all(paths)
    records = [record for record in loaded.records if _fits(record, wanted)]
    damaged = [error for error in loaded.skipped if _fits_by_name(Path(error.where), wanted)]
    return KeptRecords(sorted(records, key=lambda one: (one.created, one.target.name, one.id)), damaged)


def line(record: Record) -> dict[str, Any]:
    """Its columns, as `edgebench.analysis.columns` describes them."""
    return tidy.record_line(record_statistics.of(record))


def facts(record: Record) -> dict[str, Any]:
    """All that a record says except raw values and answers, with its verdict and statistics as of now."""
    verdict = record_statistics.of(record).verdict
    return {
        "record": line(record),
        "verdict": {"level": verdict.level, "reasons": [vars(one) for one in verdict.reasons]},
        "outcome": msgspec.to_builtins(record.outcome),
        "target": msgspec.to_builtins(record.target),
        "runtime": msgspec.to_builtins(record.runtime),
        "plan": msgspec.to_builtins(record.plan),
        "facts_before": msgspec.to_builtins(record.facts_before),
        "facts_after": msgspec.to_builtins(record.facts_after),
        "rounds": len(record.rounds),
        "values": sum(len(one.values_ns) for one in record.rounds),
    }


def record(folder: Path, name: str) -> Record:
    """One record of a folder or publication, named as for `found`. Raises UserError."""
    if not publication.is_publication(folder):
        return load(found(folder, name))
    published = {one.path: one for one in publication.load(folder) if one.path}
    path = Path(name)
    return load(path) if path.is_file() else published[_matching(folder, name, list(published))]


def found(folder: Path, name: str) -> Path:
    """The file of one record, by its path, its name, or the beginning of its name, with or without `target/`.

    Raises UserError if there is none, or if there are several.
    """
    path = Path(name)
    return path if path.is_file() else _matching(folder, name, _paths(folder))


def _matching(folder: Path, name: str, paths: Sequence[Path]) -> Path:
    matching = [path for path in paths if name in _names(path)]
    matching = matching or [path for path in paths if any(one.startswith(name) for one in _names(path))]
    if not matching:
        raise UnknownName(f"record in {folder}", name, [path.stem for path in paths[-_MOST_NAMED:]])
    if len(matching) > 1:
        some = ", ".join(f"{one.parent.name}/{one.stem}" for one in matching[:_MOST_NAMED])
        raise UserError(name, f"{len(matching)} records are called so: {some}", "Give more of the name")
    return matching[0]


def to_remove(folder: Path, names: Sequence[str], wanted: WantedRecords) -> list[Path]:
    """Files inside the results folder, damaged ones too: by name, or all that are wanted. Raises UserError."""
    if publication.is_publication(folder):
        raise UserError(str(folder), "nothing is removed from a publication", "Publish the others: edgebench publish")
    if names:
        chosen = [found(folder, name) for name in names]
    else:
        kept = results(folder, wanted)
        chosen = [record.path for record in kept.records if record.path] + [Path(one.where) for one in kept.damaged]
    return [_inside(folder, path) for path in dict.fromkeys(chosen)]


def remove(paths: Iterable[Path]) -> None:
    """Files that `to_remove` named. A link is removed, never what it leads to. Raises UserError."""
    for path in paths:
        try:
            holder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.unlink(path.name, dir_fd=holder)  # noqa: PTH108 - by the folder that was checked
            finally:
                os.close(holder)
        except OSError as error:
            raise UserError(
                str(path), f"cannot be removed ({error.strerror})", "Those before it were removed; fix that and repeat"
            ) from error
        with suppress(OSError):
            path.parent.rmdir()  # the target's folder, if that was the last record in it


def push(
    records: Sequence[Record],
    uri: str,
    experiment: str = "edgebench",
    *,
    progress: Progress = Silent(),  # noqa: B008 - no state
) -> PushedRuns:
    """One run for each record that has none yet. Raises UserError, MissingPackage."""
    return mlflow_runs.push([(record, line(record)) for record in records], uri, experiment, progress)


def _paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(str(folder), "there is no such folder", "Give the results folder or a publication: --results")
    paths = sorted(folder.glob("*/*.json"))
    if not paths:
        raise UserError(str(folder), "contains no records", _NONE)
    return paths


def _names(path: Path) -> tuple[str, str]:
    return path.stem, f"{path.parent.name}/{path.stem}"


def _fits(record: Record, wanted: WantedRecords) -> bool:
    if wanted.after is not None:
        made = comparability.moment(record)
        if made is None or made < wanted.after:
            return False
    if wanted.pattern is None:
        return True
    artifact = record.artifact.name
    names = (artifact, f"{record.target.name}/{artifact}", record.runtime.name, record.id)
    return any(fnmatchcase(name, wanted.pattern) for name in names)


def _fits_by_name(path: Path, wanted: WantedRecords) -> bool:
    """Of a damaged file, whose name begins with its time as those of all records do."""
    if wanted.after is not None and path.name[:15] < f"{wanted.after:%Y%m%dT%H%M%S}":
        return False
    if wanted.pattern is None:
        return True
    artifact = path.stem.partition("Z-")[2]
    return any(fnmatchcase(name, wanted.pattern) for name in (path.stem, artifact, f"{path.parent.name}/{artifact}"))


def _inside(folder: Path, path: Path) -> Path:
    """The path, if it is a file of that folder: no link to elsewhere among the folders above it."""
    root = folder.resolve()
    if path.parent.resolve().parent != root or path.parent.is_symlink() or path.suffix != ".json":
        raise UserError(
            str(path), f"it is no record inside {folder}", "Remove it by hand, or name its --results folder"
        )
    return path
