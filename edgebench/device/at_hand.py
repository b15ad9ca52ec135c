"""A file that an earlier record measured, found again by its content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from edgebench.device import local_artifacts
from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.modelfile.feeding import InputRequest
from edgebench.schema import bundle
from edgebench.schema.record import Record

# Bundles lie in bundles/NAME; deeper folders than theirs are not looked into.
_DEPTH = 3
_MOST_ENTRIES = 20_000


def places_of(record: Record) -> tuple[Path, ...]:
    """Where its file is looked for if no place is named: this folder with its bundles, and that of its results."""
    own = record.path.parent.parent.parent if record.path is not None else Path()
    return tuple(dict.fromkeys(one for one in (Path(), own) if one.is_dir()))


def find(record: Record, places: Sequence[Path]) -> LocalArtifact | None:
    """The record's file, fed as it was then; of several copies one in a bundle, which has the golden inputs as well.

    places: files, bundles, and folders with either. None if no file there has this content.
    """
    for folder in _bundles(places):
        with suppress(UserError):
            for artifact in bundle.load(folder).artifacts:
                if artifact.sha256 == record.artifact.sha256:
                    return _fed(record, LocalArtifact(artifact, folder), folder)
    for path in _files(places, Path(record.artifact.content.file).suffix):
        with suppress(UserError, OSError):
            if path.stat().st_size != record.artifact.content.size_bytes:
                continue
            if bundle.file_ref(path.parent, path).sha256 != record.artifact.content.sha256:
                continue
            found = _fed(record, None, path)
            if found.artifact.sha256 == record.artifact.sha256:
                return found
    return None


def said(places: Sequence[Path]) -> str:
    """`. and bundles`, for messages."""
    return " and ".join(str(one) for one in places) or "no folder"


def _fed(record: Record, known: LocalArtifact | None, path: Path) -> LocalArtifact:
    """With the sizes and the signature of the record, and under its name."""
    where = path if known is None else known.folder
    request = InputRequest({one.name: one.shape for one in record.fed}, record.signature)
    try:
        read = local_artifacts.artifacts_at([where], request)
    except UserError:
        # Some runtimes have names of their own for inputs; sizes that the file fixes need not be given.
        read = local_artifacts.artifacts_at([where], InputRequest(signature=record.signature))
    if known is not None:
        read = [one for one in read if one.artifact.sha256 == record.artifact.sha256]
    found = read[0]
    own = record.artifact
    # What a loose file does not say of itself, its record does; golden inputs are used only where they are at hand.
    golden = found.artifact.golden
    artifact = msgspec.structs.replace(
        own, content=found.artifact.content, companions=found.artifact.companions, golden=golden
    )
    return replace(found, artifact=artifact)


def _bundles(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from (Path(folder) for folder, names in _walk(place) if "bundle.json" in names)


def _files(places: Sequence[Path], suffix: str) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            for folder, names in _walk(place):
                yield from (Path(folder) / name for name in names if name.endswith(suffix))
        else:
            yield place


def _walk(place: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder with the names of its files, in order; hidden folders are left out."""
    seen = 0
    for folder, below, names in os.walk(place):
        depth = len(Path(folder).relative_to(place).parts)
        below[:] = sorted(one for one in below if not one.startswith(".")) if depth < _DEPTH else []
        seen += len(names)
        if seen > _MOST_ENTRIES:
            return
        yield folder, sorted(names)
