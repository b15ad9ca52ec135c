"""publish(): records in one checked file that others can compare and repeat.

records ─ their files, by content ─ verdicts as of now ─ one zip file with a sha256 for everything in it
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from edgebench import __version__
from edgebench.analysis import record_statistics
from edgebench.device import at_hand
from edgebench.errors import BadFile, UserError
from edgebench.files import untrusted
from edgebench.files.replacing import replacing
from edgebench.schema import bundle, publication, record_files
from edgebench.schema.bundle import Artifact, Bundle
from edgebench.schema.publication import README, OpenPublication, Publication, PublishedRecord
from edgebench.schema.record import Record


@dataclass(frozen=True)
class Published:
    """sha256: of the whole file. without: names of what was measured and is not in it."""

    path: Path
    sha256: str
    content: Publication
    without: tuple[str, ...] = ()


def publish(
    records: Sequence[Record], path: Path, *, with_files: bool = False, places: tuple[Path, ...] = ()
) -> Published:
    """Packs records as they were saved. with_files: what they measured as well, with golden inputs, found by content in
    `places` (default: `at_hand.places_of`). Raises UserError, and leaves an existing file as it was.
    """
    contents: dict[str, bytes | Path] = {}
    packed: list[PublishedRecord] = []
    files = _files(records, places) if with_files else {}
    for record in sorted(records, key=lambda one: (one.target.name, one.id)):
        assert record.path is not None
        name = f"records/{record.target.name}/{record.id}.json"
        data = _raw(record.path)
        if contents.setdefault(name, data) != data:
            raise UserError(str(record.path), f"another record is called {record.id} too", "Publish them apart")
        packed.append(_described(record, name, has_file=record.artifact.sha256 in files))
    for own in files.values():
        contents |= own
    command = f"edgebench repeat {path.name}"
    contents[README] = _readme(packed, command).encode()
    entries = tuple(publication.entry(name, contents[name]) for name in sorted(contents))
    created = max(one.created for one in records)
    made = Publication(__version__, created, command, tuple(packed), entries)
    try:
        with replacing(path) as partial:
            publication.write(partial, made, contents)
    except OSError as error:
        raise UserError(str(path), f"cannot be written ({error.strerror})", "Give another path") from error
    without = dict.fromkeys(one.artifact for one in packed if with_files and not one.has_file)
    return Published(path, publication.entry("", path).sha256, made, tuple(without))


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[list[Record], Path]]:
    """The records of a publication, and a folder with a bundle for each file in it, deleted afterwards."""
    with publication.opened(path) as found, tempfile.TemporaryDirectory(prefix="edgebench-publication-") as folder:
        records = found.records()
        for number, artifact in enumerate({one.artifact.sha256: one.artifact for one in records}.values()):
            if all(found.has(ref.sha256) for ref in bundle.model_files(artifact)):
                _make_bundle(found, artifact, Path(folder) / str(number))
        yield records, Path(folder)


def _raw(path: Path) -> bytes:
    """A record's file to the byte, also where it comes from a publication."""
    holder = next((one for one in path.parents if publication.is_publication(one)), None)
    if holder is None:
        return untrusted.read(path, record_files.KIND)
    with publication.opened(holder) as found:
        return found.raw(path.relative_to(holder).as_posix())


def _files(records: Sequence[Record], places: tuple[Path, ...]) -> dict[str, dict[str, bytes | Path]]:
    """By what was measured: the contents of its entries."""
    found: dict[str, dict[str, bytes | Path]] = {}
    for record in {one.artifact.sha256: one for one in records}.values():
        local = at_hand.find(record, places or at_hand.places_of(record))
        if local is not None:
            refs = bundle.files_of(local.artifact)
            found[record.artifact.sha256] = {f"files/{ref.sha256}": local.path(ref) for ref in refs}
    return found


def _described(record: Record, name: str, *, has_file: bool) -> PublishedRecord:
    found = record_statistics.of(record)
    return PublishedRecord(
        entry=name,
        target=record.target.name,
        artifact=record.artifact.name,
        runtime=record.runtime.name,
        sha256=record.artifact.sha256,
        has_file=has_file,
        verdict=found.verdict.level,
        reasons=tuple(reason.seen for reason in found.verdict.reasons),
        p50_ns=None if found.p50_ns is None else found.p50_ns.value,
    )


def _readme(packed: Sequence[PublishedRecord], command: str) -> str:
    lines = [f"{one.artifact} in {one.runtime} on {one.target}: {one.entry} ({one.verdict})" for one in packed]
    return "\n".join([
        "Measurements made with edgebench. publication.json lists everything here with its sha256.",
        "",
        *lines,
        "",
        f"Compare them:         edgebench compare {command.split()[-1]}",
        f"Measure them again:   {command}",
        "",
    ])  # fmt: skip


def _make_bundle(found: OpenPublication, artifact: Artifact, folder: Path) -> None:
    """Raises BadFile for a file name that leads out of the folder."""
    golden = artifact.golden
    refs = (*golden.inputs, *golden.reference, *golden.expected) if golden else ()
    if not all(found.has(ref.sha256) for ref in refs):
        artifact = msgspec.structs.replace(artifact, golden=None)
    try:
        for ref in bundle.files_of(artifact):
            path = folder / _inside(found, ref.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            found.unpack(ref.sha256, path)
    except OSError as error:
        raise UserError(str(folder), f"cannot be written ({error.strerror})", "Set TMPDIR to another folder") from error
    bundle.save(Bundle(artifact.name, artifact.model, {}, (artifact,), ""), folder)


def _inside(found: OpenPublication, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.name or name == "bundle.json":
        seen = f"a record names the file {untrusted.shortened(repr(name))}, outside its folder"
        raise BadFile(str(found.path), seen, publication.KIND.remedy)
    return path
