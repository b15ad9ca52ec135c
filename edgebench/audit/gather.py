"""Paths -> Evidence: records, checkpoints, CodeCarbon's emissions.csv and published tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgebench import checkpoint, emissions, record, yaml_file
from edgebench.audit.evidence import Evidence
from edgebench.audit.published import Table
from edgebench.errors import BadFile, UserError

# In a folder, what is looked at; other files may be anything.
_IN_FOLDERS = ("*.json", f"*{checkpoint.SUFFIX}", "emissions*.csv")


def gather(paths: Sequence[Path]) -> Evidence:
    """Copies of a checkpoint count once. Raises UserError for a path that is not there or holds nothing of it."""
    evidence: dict[str, list[Any]] = {kind: [] for kind in ("checkpoints", "records", "emissions", "published")}
    for path in paths:
        for file in _files(path):
            kind, found = _read(file)
            evidence[kind] += found
    checkpoints = {one.digest: one for one in reversed(evidence["checkpoints"])}
    evidence["checkpoints"] = list(reversed(checkpoints.values()))
    return Evidence(**{kind: tuple(found) for kind, found in evidence.items()})


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for pattern in _IN_FOLDERS for file in path.rglob(pattern) if not _is_aside(file, path))
    if not found:
        raise UserError(
            str(path), "there is no record, checkpoint or emissions.csv in it", "Name a folder of results, or files"
        )
    return found


def _is_aside(file: Path, folder: Path) -> bool:
    """What a tool keeps for itself, work in progress, and JSON that says itself that it is no record."""
    parts = file.relative_to(folder).parts
    if any(part.startswith(".") or part.endswith(".part") for part in parts):
        return True
    if file.suffix != ".json":
        return False
    try:
        content = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return False  # a damaged record is told as one
    return not (isinstance(content, dict) and {"artifact", "job"} <= content.keys())


def _read(path: Path) -> tuple[str, list[Any]]:
    readers: dict[str, tuple[str, Callable[[Path], list[Any]]]] = {
        ".json": ("records", lambda file: [record.load(file)]),
        checkpoint.SUFFIX: ("checkpoints", lambda file: [checkpoint.load(file)]),
        ".csv": ("emissions", emissions.load),
        ".yaml": ("published", tables),
        ".yml": ("published", tables),
    }
    if path.suffix not in readers:
        raise BadFile(
            str(path),
            f"'{path.suffix or path.name}' is nothing that can be audited",
            f"Name a folder, or files that end in {', '.join(readers)}",
        )
    kind, reader = readers[path.suffix]
    return kind, reader(path)


def tables(path: Path) -> list[Table]:
    """Of a study file, under `published:`; of another one, all of it. Raises BadFile."""
    content: Any = yaml_file.load(path, object)
    if isinstance(content, dict) and "parts" in content and "published" not in content:
        raise BadFile(str(path), "the study transcribes no published numbers", "Add them under `published:`")
    stated = content.get("published", content) if isinstance(content, dict) else content
    return yaml_file.convert(stated if isinstance(stated, list) else [stated], list[Table], str(path))
