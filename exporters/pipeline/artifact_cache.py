"""Artifacts of earlier exports, keyed by everything that they were made from. An entry is a bundle of one artifact.

An entry is written under another name and then renamed; it is read like any bundle, every file against its sha256.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Sequence
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
from exporters import ArtifactOptions, Choice
from exporters.pipeline.export_images import ExportImages
from exporters.pipeline.export_inputs import ExportInputs
from exporters.sources.source_model import SourceModel

LARGEST_BYTES = 4_000_000_000
# In addition to a plugin's PACKAGES: networks are built and images prepared with these.
ALWAYS = ("numpy", "torch", "torchvision")


def basis(parent: SourceModel, images: ExportImages | ExportInputs | None, options: ArtifactOptions) -> dict[str, Any]:
    """Everything that all artifacts of an export depend on; empty if that cannot be known.

    What a user's code will do when it is imported cannot be known beforehand.
    """
    if not parent.digest:
        return {}
    return {
        "parent": [parent.kind, parent.digest, parent.inputs],
        "images": _samples(images),
        "preprocessing": images.preprocessing if isinstance(images, ExportImages) else None,
        **msgspec.structs.asdict(options),
        "code": _code_sha256(),
        "machine": [platform.machine(), platform.python_version()],
    }


def _samples(images: ExportImages | ExportInputs | None) -> list[str] | None:
    if images is None:
        return None
    if isinstance(images, ExportInputs):
        return [images.digest, images.file]
    return [images.digest, images.dataset.name, images.calibration_name]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def _code_sha256() -> str:
    """Of edgebench itself: the way it makes networks and files may change without a new version number."""
    digest = hashlib.sha256()
    for package in (edgebench, exporters):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class ArtifactCache:
    """folder: None to cache nothing. basis: see the function `basis`; nothing is cached if it is empty."""

    folder: Path | None
    basis: dict[str, Any]
    largest_bytes: int = LARGEST_BYTES

    def entry(self, choice: Choice) -> Path | None:
        """The folder for an artifact of this export, whether it exists or not; None if nothing is cached."""
        if self.folder is None or not self.basis:
            return None
        decides = self.basis | {
            "artifact": [choice.name, choice.plugin, choice.precision],
            "versions": {name: _version(name) for name in (*ALWAYS, *choice.exporter.PACKAGES)},
        }
        if choice.precision != "int8":
            decides |= {"max_drop_points": None, "kernels": None}
        return self.folder / hashlib.sha256(msgspec.json.encode(decides, order="sorted")).hexdigest()

    def take_all(
        self, choices: Sequence[Choice], parent: SourceModel, part: Path
    ) -> tuple[dict[str, Artifact], list[str]]:
        """Copy everything cached into a bundle of this parent: the artifacts by name, and the names of damaged ones."""
        found: dict[str, Artifact] = {}
        damaged = []
        for choice in choices:
            try:
                artifact = self.take(choice, part)
            except BadFile:
                damaged.append(choice.name)
            else:
                if artifact is not None:
                    name = f"{parent.name}-{choice.name}"
                    found[choice.name] = msgspec.structs.replace(artifact, name=name, model=parent.model)
        return found, damaged

    def take(self, choice: Choice, part: Path) -> Artifact | None:
        """Copy an entry's files into a bundle. Raises BadFile for a damaged entry, and deletes it."""
        entry = self.entry(choice)
        if entry is None or not _is_folder(entry):
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)  # in use: others are deleted first
        try:
            artifact = bundle.load(entry).artifacts[0]
        except (BadFile, IndexError) as error:
            shutil.rmtree(entry, ignore_errors=True)
            raise BadFile(str(entry), f"damaged ({error})", "Export again") from error
        _copy(artifact, entry, part)
        return artifact

    def keep(self, choice: Choice, artifact: Artifact, part: Path) -> None:
        """Add an artifact of a bundle; does nothing if there is no room for it."""
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
            made.rename(entry)  # fails if another process has just added the same
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _shrink(self, folder: Path) -> None:
        """Delete the entries used longest ago; the newest stays, however large it is."""
        entries = sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime_ns)
        sizes = [_size(entry.rglob("*")) for entry in entries]
        left = sum(sizes)
        for entry, size in zip(entries[:-1], sizes[:-1], strict=True):
            if left <= self.largest_bytes:
                return
            shutil.rmtree(entry, ignore_errors=True)
            left -= size


def _is_folder(path: Path) -> bool:
    """False also where permission is denied."""
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
