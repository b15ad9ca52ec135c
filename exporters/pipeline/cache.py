"""Artifacts that were made before, known by all that they were made of. An entry is a bundle of one artifact.

An entry is written under another name and then renamed; it is read as bundles are, every file against its sha256.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

import edgebench
import exporters
from edgebench.errors import BadFile
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact, Bundle
from exporters import Asked, Choice
from exporters.pipeline.material import Material
from exporters.sources.parent import Parent

LARGEST_BYTES = 4_000_000_000
# Beside what a plugin names in PACKAGES: networks are built and images prepared with these.
ALWAYS = ("numpy", "torch", "torchvision")


def basis(parent: Parent, material: Material | None, asked: Asked) -> dict[str, Any]:
    """What decides about all artifacts of an export; empty if that cannot be known.

    Nobody sees beforehand what code that is imported will do.
    """
    if not parent.digest:
        return {}
    return {
        "parent": [parent.kind, parent.digest, parent.input_shape],
        "images": None if material is None else [material.digest, material.images.name, material.calibration_name],
        "preprocessing": None if material is None else material.preprocessing,
        **msgspec.structs.asdict(asked),
        "code": _code_sha256(),
        "machine": [platform.machine(), platform.python_version()],
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def _code_sha256() -> str:
    """Of edgebench itself: how it makes networks and files may change without a new version."""
    digest = hashlib.sha256()
    for package in (edgebench, exporters):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Cache:
    """folder: None if nothing is kept and nothing taken. basis: see there; nothing is kept either if it is empty."""

    folder: Path | None
    basis: dict[str, Any]
    largest_bytes: int = LARGEST_BYTES

    def entry(self, choice: Choice) -> Path | None:
        """Where an artifact of this export is, if it is there."""
        if self.folder is None or not self.basis:
            return None
        decides = self.basis | {
            "artifact": [choice.name, choice.plugin, choice.precision],
            "versions": {name: _version(name) for name in (*ALWAYS, *choice.exporter.PACKAGES)},
        }
        if choice.precision != "int8":
            decides |= {"max_drop": None, "kernels": None}
        return self.folder / hashlib.sha256(msgspec.json.encode(decides, order="sorted")).hexdigest()

    def take(self, choice: Choice, part: Path) -> Artifact | None:
        """Copy an entry's files into a bundle. Raises BadFile, once, for one that is damaged: it is gone then."""
        entry = self.entry(choice)
        if entry is None or not _is_folder(entry):
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)  # it is in use: others go first
        try:
            artifact = bundle.load(entry).artifacts[0]
        except (BadFile, IndexError) as error:
            shutil.rmtree(entry, ignore_errors=True)
            raise BadFile(str(entry), f"it is damaged ({error})", "Export again") from error
        _copy(artifact, entry, part)
        return artifact

    def keep(self, choice: Choice, artifact: Artifact, part: Path) -> None:
        """Add an artifact of a bundle. That there is no room for it is no reason to fail."""
        entry = self.entry(choice)
        if entry is None:
            return
        with contextlib.suppress(OSError):
            entry.parent.mkdir(parents=True, exist_ok=True)
            self._write(entry, artifact, part)
            self._shrink(entry.parent)

    def _write(self, entry: Path, artifact: Artifact, part: Path) -> None:
        made = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=entry.parent))
        try:
            _copy(artifact, part, made)
            bundle.save(Bundle(entry.name, artifact.model, {}, (artifact,), ""), made)
            made.rename(entry)  # fails if another process was quicker, with the same
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _shrink(self, folder: Path) -> None:
        """What was used longest ago goes first; the newest stays however large it is."""
        entries = sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime_ns)
        sizes = [_size(entry.rglob("*")) for entry in entries]
        left = sum(sizes)
        for entry, size in zip(entries[:-1], sizes[:-1], strict=True):
            if left <= self.largest_bytes:
                return
            shutil.rmtree(entry, ignore_errors=True)
            left -= size


def _is_folder(path: Path) -> bool:
    """False too where nobody may look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _copy(artifact: Artifact, source: Path, destination: Path) -> None:
    for ref in bundle.files_of(artifact):
        target = destination / ref.file
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source / ref.file, target)


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
