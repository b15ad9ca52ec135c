"""Data sets that torchvision reads: it knows their addresses, formats and archive checksums.

    missing files ──> fetch archives (resumed, md5) ──> torchvision extracts ──> check every file ──> read ──> hold out

Files are checked each time they are read: one that an interrupted extraction left incomplete is never used. Complete
archives are not downloaded again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.files.download import fetch, has_checksum, one_line
from edgebench.networks import data
from edgebench.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class TorchvisionSource:
    """A plugin's description of its data set.

    reader: the class in torchvision.datasets; part: which of EMNIST's data sets, all of which are stored transposed;
    checksums: md5 of the extracted files, by name, where torchvision knows only the archives'.
    """

    name: str
    reader: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    flip: bool
    licence: str
    validation_per_class: int
    part: str | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """files: path -> md5, None if unknown. Complete archives are enough: torchvision extracts them."""

    files: Mapping[Path, str | None]
    archives: tuple[_Archive, ...]


@dataclass(frozen=True)
class _Archive:
    path: Path
    md5: str
    addresses: tuple[str, ...]


def load(source: TorchvisionSource) -> data.Dataset:
    try:
        from torchvision import datasets
    except ModuleNotFoundError as error:
        raise MissingPackage(f"data set {source.name}", "torchvision", "train") from error
    # The readers of idx files would prefer what torchvision before 0.10 left in `processed`, which has no checksum.
    no_legacy = {"_check_legacy_exist": lambda _: False}
    reader = type(source.reader, (getattr(datasets, source.reader),), no_legacy)
    place = _place(source, reader)
    if not all(path.is_file() for path in place.files):
        _download(source, reader, place)
    for path, md5 in place.files.items():
        if md5 is not None:
            require_md5(path, md5)
        elif not _is_whole_idx(path):
            raise BadFile(
                str(path),
                "its length differs from what its header says",
                "Delete it and try again: it will be extracted anew",
            )
    train, validation = data.hold_out(_official(source, reader, train=True), source.validation_per_class)
    return data.Dataset(
        name=source.name,
        train=train,
        validation=validation,
        test=_official(source, reader, train=False),
        class_names=source.class_names,
        preprocessing=source.preprocessing,
        flip=source.flip,
        licence=source.licence,
    )


def require_md5(path: Path, md5: str) -> None:
    if not has_checksum(path, md5):
        seen = "wrong checksum: it is truncated, or a different file"
        raise BadFile(str(path), seen, "Delete it and try again: it will be extracted anew")


def _place(source: TorchvisionSource, reader: Any) -> _Place:
    root = data.folder()
    if hasattr(reader, "train_list"):  # the CIFARs: one archive of pickles, whose md5s must be right before unpickling
        listed = (*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"]))
        files = {root / reader.base_folder / name: md5 for name, md5 in listed}
        return _Place(files, (_Archive(root / reader.filename, reader.tgz_md5, (reader.url,)),))
    raw = root / source.reader / "raw"
    prefixes = (
        ("train", "t10k") if source.part is None else (f"emnist-{source.part}-train", f"emnist-{source.part}-test")
    )
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    names = [f"{prefix}-{kind}" for prefix in prefixes for kind in kinds]
    idx = {raw / name: source.checksums.get(name) for name in names}
    if source.part is None:
        named = (
            _Archive(raw / name, md5, tuple(mirror + name for mirror in reader.mirrors))
            for name, md5 in reader.resources
        )
        return _Place(idx, tuple(named))
    return _Place(idx, (_Archive(raw / Path(reader.url).name, reader.md5, (reader.url,)),))


def _open(source: TorchvisionSource, reader: Any, *, train: bool, download: bool = False) -> Any:
    part = {} if source.part is None else {"split": source.part}
    return reader(str(data.folder()), train=train, download=download, **part)


def _download(source: TorchvisionSource, reader: Any, place: _Place) -> None:
    try:
        for archive in place.archives:
            if not (archive.path.is_file() and has_checksum(archive.path, archive.md5)):
                fetch(archive.addresses, archive.path, archive.md5)
        for train in (True, False):
            _open(source, reader, train=train, download=True)
    except Exception as error:  # torchvision passes on whatever reading an archive raises: RuntimeError, zlib's, ...
        folder = place.archives[0].path.parent
        wanted = ", ".join(archive.path.name for archive in place.archives)
        raise UserError(
            f"data set {source.name}",
            f"it is not complete in {data.folder()} and could not be downloaded ({one_line(error)})",
            f"Try again (the download resumes), or copy {wanted} from {place.archives[0].addresses[0]} into "
            f"{folder}, name another folder in EDGEBENCH_DATA, or use fashion-mnist-mini, which ships with edgebench",
        ) from error


def _is_whole_idx(path: Path) -> bool:
    """Whether the file is as long as its header says (2 zero bytes, type, number of dimensions, 4 bytes for each)."""
    with path.open("rb") as stream:
        head = stream.read(4)
        shape = [int.from_bytes(stream.read(4), "big") for _ in range(head[3] if len(head) == 4 else 0)]
    return bool(shape) and path.stat().st_size == 4 + 4 * len(shape) + math.prod(shape)


def _official(source: TorchvisionSource, reader: Any, *, train: bool) -> data.Split:
    import numpy as np

    try:
        opened = _open(source, reader, train=train)
        images, labels = np.asarray(opened.data), np.asarray(opened.targets, dtype=np.int64)
        if source.part is not None:
            images = images.transpose(0, 2, 1)
        split = data.Split(np.ascontiguousarray(images if images.ndim == 4 else images[..., None]), labels)
    except Exception as error:  # torchvision raises anything for a file of the right length with wrong content
        raise _bad(source, reader, f"its files are damaged ({one_line(error)})") from error
    if not 0 <= labels.min(initial=0) <= labels.max(initial=0) < len(source.class_names):
        raise _bad(source, reader, f"it has labels outside 0 to {len(source.class_names) - 1}")
    return split


def _bad(source: TorchvisionSource, reader: Any, seen: str) -> BadFile:
    folder = next(iter(_place(source, reader).files)).parent
    return BadFile(str(folder), seen, "Delete that folder and try again")
