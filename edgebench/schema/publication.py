"""A publication: records, and the files that they measured, in one checked zip file for others.

publication.json               this file's structure: every other entry with its sha256 and size
records/<target>/<id>.json     as they were saved, with all raw values
files/<sha256>                 model files, with their golden inputs and answers
README.txt                     how to read it, for people

It is written the same to the byte from the same records. What is read comes from anyone: every entry is listed, has the
size and the content that are listed, and nothing else is in the file.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Literal

import msgspec

from edgebench.errors import BadFile
from edgebench.files import untrusted
from edgebench.schema import record_files
from edgebench.schema.limits import Amount, Bytes, Count, LongText, Name, Sha256, Text, Title
from edgebench.schema.record import Record

SCHEMA_VERSION = 1
# 1  2026-12  first

MANIFEST = "publication.json"
README = "README.txt"
KIND = untrusted.Kind("a publication", SCHEMA_VERSION, "Ask for another copy of it", 64 * 2**20)

_ENTRY = re.compile(
    r"(records/[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\.json|files/[0-9a-f]{64}|README\.txt)"
)
# Of a zip file with entries, and of one without.
_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BLOCK = 2**20
_MOST_ENTRIES = 100_000
_MOST_BYTES = 16 * 2**30
# Text packs to a fifth; what unpacks to more than this many times its size was made to fill a disk.
_MOST_TIMES = 100


class PackedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Text
    sha256: Sha256
    size_bytes: Bytes


class PublishedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """entry: its place in the file. sha256: of what it measured; has_file: that is in here. verdict, reasons, p50_ns:
    as edgebench judged it when it was packed; whoever reads the record judges anew.
    """

    entry: Text
    target: Name
    artifact: Title
    runtime: Text
    sha256: Sha256
    has_file: bool
    verdict: Literal["valid", "suspect", "invalid"]
    reasons: tuple[LongText, ...] = ()
    p50_ns: Amount | None = None


class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """created: when the newest record was. repeat: the command that measures all again."""

    edgebench: Text
    created: Text
    repeat: Text
    records: Annotated[tuple[PublishedRecord, ...], msgspec.Meta(min_length=1)]
    entries: tuple[PackedEntry, ...]
    schema_version: Count = SCHEMA_VERSION


def is_publication(path: Path) -> bool:
    """Whether it is a zip file by its name or its beginning: what is wrong with it is said of a publication then."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return path.suffix.lower() == ".zip" or stream.read(4) in _MAGICS
    except (OSError, ValueError):
        return False


def entry(name: str, content: bytes | Path) -> PackedEntry:
    if isinstance(content, bytes):
        return PackedEntry(name, hashlib.sha256(content).hexdigest(), len(content))
    with content.open("rb") as stream:
        return PackedEntry(name, hashlib.file_digest(stream, "sha256").hexdigest(), content.stat().st_size)


def write(path: Path, made: Publication, contents: Mapping[str, bytes | Path]) -> None:
    """contents: by entry. Raises OSError."""
    manifest = msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
    with zipfile.ZipFile(path, "w") as packed:
        _put(packed, MANIFEST, manifest)
        for one in made.entries:
            _put(packed, one.name, contents[one.name])


def _put(packed: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    """Without a date. Models hardly pack, and what packs too well would be refused."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    if isinstance(content, bytes):
        packs_well = len(content) < _MOST_TIMES * len(zlib.compress(content)) // 2
        info.compress_type = zipfile.ZIP_DEFLATED if packs_well else zipfile.ZIP_STORED
        packed.writestr(info, content)
        return
    info.file_size = content.stat().st_size
    with content.open("rb") as source, packed.open(info, "w") as stream:
        while block := source.read(_BLOCK):
            stream.write(block)


class OpenPublication:
    """One that has been checked whole: every entry's content is the listed one."""

    def __init__(self, path: Path, packed: zipfile.ZipFile, content: Publication) -> None:
        self.path = path
        self.content = content
        self._packed = packed
        self._listed = {one.name: one for one in content.entries}

    def records(self) -> list[Record]:
        """Each with its place in this file as its path. Raises BadFile."""
        described = [one.entry for one in self.content.records]
        there = {name for name in self._listed if name.startswith("records/")}
        for name in sorted(there ^ set(described)):
            what = "does not describe" if name in there else "describes a record that is not in it,"
            raise _damaged(self.path, f"{MANIFEST} {what} {untrusted.shortened(name)}")
        if len(set(described)) < len(described):
            raise _damaged(self.path, f"{MANIFEST} describes a record twice")
        return [self._record(one) for one in self.content.records]

    def _record(self, one: PublishedRecord) -> Record:
        where = self.path / one.entry
        record = record_files.decode(self._packed.read(one.entry), where)
        name = f"records/{record.target.name}/{record.id}.json"
        found = (name, record.target.name, record.artifact.name, record.artifact.sha256)
        if found != (one.entry, one.target, one.artifact, one.sha256):
            raise BadFile(str(where), f"it is not the record that {MANIFEST} describes", KIND.remedy)
        return record

    def raw(self, name: str) -> bytes:
        return self._packed.read(name)

    def has(self, sha256: str) -> bool:
        return f"files/{sha256}" in self._listed

    def unpack(self, sha256: str, path: Path) -> None:
        """One file. Raises OSError."""
        with self._packed.open(f"files/{sha256}") as source, path.open("wb") as stream:
            for block in _blocks(source):
                stream.write(block)


@contextmanager
def opened(path: Path) -> Iterator[OpenPublication]:
    """Raises BadFile for anything but a whole publication."""
    try:
        with zipfile.ZipFile(path) as packed:
            infos = _checked_infos(path, packed)
            content = _manifest(path, packed, infos)
            _check_entries(path, packed, infos, content)
            yield OpenPublication(path, packed, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise BadFile(str(path), f"cannot be read ({error.strerror or error})", "Check the path") from error


def load(path: Path) -> list[Record]:
    """Its records. Raises BadFile."""
    with opened(path) as found:
        return found.records()


def _checked_infos(path: Path, packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By name, before anything is unpacked. Raises BadFile."""
    listed = packed.infolist()
    infos = {one.filename: one for one in listed}
    if MANIFEST not in infos:
        raise BadFile(str(path), f"it is not a publication (it has no {MANIFEST})", KIND.remedy)
    if len(listed) > _MOST_ENTRIES or len(infos) < len(listed):
        raise _damaged(path, "too many entries, or two of one name")
    unpacked, there = sum(one.file_size for one in listed), sum(one.compress_size for one in listed)
    if there > path.stat().st_size:
        raise _damaged(path, "its entries overlap")
    if unpacked > _MOST_BYTES or any(one.file_size > _MOST_TIMES * max(1, one.compress_size) for one in listed):
        raise _damaged(path, f"it would unpack to {unpacked / 2**20:,.0f} MiB from {there / 2**20:,.1f}")
    for one in listed:
        if one.flag_bits & 1 or one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _damaged(path, "an entry is encrypted or packed in another way")
    return infos


def _manifest(path: Path, packed: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> Publication:
    if infos[MANIFEST].file_size > KIND.most_bytes:
        raise _damaged(path, f"{MANIFEST} is too large")
    return untrusted.decode(packed.read(MANIFEST), f"{path}/{MANIFEST}", KIND, Publication, lambda content: content)


def _check_entries(
    path: Path, packed: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], content: Publication
) -> None:
    """That what is listed is there, and nothing else, with the listed content. Raises BadFile."""
    listed = {one.name for one in content.entries}
    for name in sorted((infos.keys() - {MANIFEST}) ^ listed):
        what = "lists" if name in listed else "does not list"
        raise _damaged(path, f"{MANIFEST} {what} {untrusted.shortened(repr(name))}")
    for one in content.entries:
        if not _ENTRY.fullmatch(one.name):
            raise _damaged(path, f"it has an entry {untrusted.shortened(repr(one.name))}")
        is_record = one.name.startswith("records/")
        if infos[one.name].file_size != one.size_bytes or (is_record and one.size_bytes > record_files.KIND.most_bytes):
            raise _damaged(path, f"{one.name} has another size than listed")
        digest = hashlib.sha256()
        with packed.open(one.name) as stream:
            for block in _blocks(stream):
                digest.update(block)
        if digest.hexdigest() != one.sha256 or (one.name.startswith("files/") and one.name[6:] != one.sha256):
            raise _damaged(path, f"the content of {one.name} is not the listed one")


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _damaged(path: Path, seen: str) -> BadFile:
    return BadFile(str(path), f"it is not a whole publication ({untrusted.shortened(seen)})", KIND.remedy)
