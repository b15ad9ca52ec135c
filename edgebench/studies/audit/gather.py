"""Paths -> Evidence: records, checkpoints, CodeCarbon's emissions.csv and published tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edgebench.energy import codecarbon_table
from edgebench.errors import BadFile, UserError
from edgebench.files import untrusted, yaml_file
from edgebench.schema import checkpoint, record_files
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.published import PublishedTable

# The files that are read from a folder; others may be anything.
_IN_FOLDERS = ("*.json", f"*{checkpoint.SUFFIX}", "emissions*.csv")


def gather(paths: Sequence[Path]) -> AuditEvidence:
    """Copies of a checkpoint count once. Paths that cannot be read or contain no evidence are in `skipped`."""
    kinds = ("checkpoints", "records", "emissions", "published", "skipped", "left_out")
    evidence: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for file, error in [found for path in paths for found in _files(path)]:
        try:
            if error:
                raise error
            kind, found = _read(file)
        except UserError as reason:
            evidence["skipped"].append(reason)
            continue
        for one in found:
            if isinstance(one, codecarbon_table.EmissionsTable):
                evidence["emissions"] += one.runs
                evidence["left_out"] += map(partial(_left_out, one), one.left_out)
            else:
                evidence[kind].append(one)
    checkpoints = {one.digest: one for one in reversed(evidence["checkpoints"])}
    evidence["checkpoints"] = list(reversed(checkpoints.values()))
    return AuditEvidence(**{kind: tuple(found) for kind, found in evidence.items()})


def _left_out(table: codecarbon_table.EmissionsTable, lines: codecarbon_table.SkippedLines) -> UserError:
    many = "1 line is" if lines.count == 1 else f"{lines.count} lines are"
    seen = f"{many} left out, from run {lines.number} on: {lines.seen}"
    return UserError(str(table.path), seen, "They are ignored; fix or remove them")


def _files(path: Path) -> list[tuple[Path, UserError | None]]:
    """Each file, with an error if it is already known to be unusable."""
    if not path.is_dir():
        return [(path, None)]
    found = sorted(file for pattern in _IN_FOLDERS for file in path.rglob(pattern) if not _is_aside(file, path))
    if not found:
        seen = "contains no record, checkpoint or emissions.csv"
        return [(path, UserError(str(path), seen, "Name a folder of results, or files"))]
    return [(file, None) for file in found]


def _is_aside(file: Path, folder: Path) -> bool:
    """Tools' private files, work in progress, and JSON whose content shows that it is not a record."""
    parts = file.relative_to(folder).parts
    if any(part.startswith(".") or part.endswith(".part") for part in parts):
        return True
    if file.suffix != ".json":
        return False
    try:
        content = msgspec.json.decode(untrusted.read(file, record_files.KIND))
    except (BadFile, RecursionError, ValueError, msgspec.MsgspecError):
        return False  # a damaged record is reported as such
    return not (isinstance(content, dict) and {"artifact", "job"} <= content.keys())


def _read(path: Path) -> tuple[str, list[Any]]:
    readers: dict[str, tuple[str, Callable[[Path], list[Any]]]] = {
        ".json": ("records", lambda file: [record_files.load(file)]),
        checkpoint.SUFFIX: ("checkpoints", lambda file: [checkpoint.load(file)]),
        ".csv": ("emissions", lambda file: [codecarbon_table.load(file)]),
        ".yaml": ("published", tables),
        ".yml": ("published", tables),
    }
    if path.suffix not in readers:
        raise BadFile(
            str(path),
            f"'{path.suffix or path.name}' cannot be audited",
            f"Name a folder, or files that end in {', '.join(readers)}",
        )
    kind, reader = readers[path.suffix]
    return kind, reader(path)


def tables(path: Path) -> list[PublishedTable]:
    """The part under `published:` of a study file, or all of any other file. Raises BadFile."""
    content: Any = yaml_file.load(path, object)
    if isinstance(content, dict) and "parts" in content and "published" not in content:
        raise BadFile(str(path), "it contains no published numbers", "Add them under `published:`")
    stated = content.get("published", content) if isinstance(content, dict) else content
    return yaml_file.convert(stated if isinstance(stated, list) else [stated], list[PublishedTable], str(path))
