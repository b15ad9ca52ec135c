"""Data sets, one file each: the file's name is what users type.

A plugin has one function:

    def load() -> Dataset        raises UserError if the files are missing and cannot be downloaded

Everything else (splits, preprocessing, the calibration set) is decided here, once.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench import plugins
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgebench.schema.arrays import Int64Array, UInt8Array

CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class Split:
    """images: uint8 [N, H, W, C]; labels: int64 [N], 0 <= label < number of classes.

    index: int64 [N], the position of each image in the official split it came from; None: all of it, in order.
    """

    images: UInt8Array
    labels: Int64Array
    index: Int64Array | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype.name != "uint8":
            raise ValueError(f"images must be uint8 [N, H, W, C], not {self.images.dtype} {self.images.shape}")
        if self.labels.dtype.name != "int64" or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be int64 [{len(self.images)}], not {self.labels.dtype} {self.labels.shape}")
        if self.index is not None and (self.index.dtype.name, self.index.shape) != ("int64", self.labels.shape):
            raise ValueError(f"index must be int64 [{len(self.images)}], not {self.index.dtype} {self.index.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Any) -> Split:
        return Split(self.images[index], self.labels[index], self.positions()[index])

    def positions(self) -> Int64Array:
        """`index`, written out if it is None."""
        import numpy as np

        return np.arange(len(self), dtype=np.int64) if self.index is None else self.index


@dataclass(frozen=True)
class Dataset:
    """The official test split is `test`; `validation` was cut from the official training split.

    flip: a mirrored image still belongs to its class (clothes yes, digits no).
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    flip: bool
    licence: str

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width), as networks see one image."""
        height, width, channels = self.train.images.shape[1:]
        return channels, *(self.preprocessing.resize or (height, width))

    def calibration(self, count: int = CALIBRATION_IMAGES) -> Split:
        """Images from which a quantizer may find its ranges: of the training split, never the test split."""
        return balanced(self.train, count)


def balanced(split: Split, count: int) -> Split:
    """`count` images of a split, as evenly over the classes as possible, in a fixed order."""
    return split.take(balanced_index(split.labels, count))


def balanced_index(labels: Int64Array, count: int) -> Int64Array:
    """Positions of the first image of every class, then the second of every class, and so on: `count` in all."""
    import numpy as np

    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    turn = np.empty(len(labels), np.int64)
    turn[by_class] = np.arange(len(labels)) - first
    return np.lexsort((labels, turn))[:count].astype(np.int64)


def hold_out(official: Split, per_class: int) -> tuple[Split, Split]:
    """Split a validation split off a training split: the last `per_class` images of every class."""
    import numpy as np

    held = np.zeros(len(official), bool)
    for label in np.unique(official.labels):
        held[np.flatnonzero(official.labels == label)[-per_class:]] = True
    return official.take(~held), official.take(held)


def split_hash(dataset: Dataset) -> str:
    """sha256 over the position and label of every image in each split: equal only for equal splits."""
    digest = hashlib.sha256()
    for name, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        digest.update(f"{name} {len(split)}\n".encode())
        digest.update(split.positions().astype("<i8").tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def folder() -> Path:
    """Where data sets are kept: $EDGEBENCH_DATA, else `data` in the user's cache."""
    return Path(os.environ.get("EDGEBENCH_DATA") or cache.folder() / "data").expanduser()


def names() -> list[str]:
    return plugins.names("edgebench.networks.data")


def load(name: str) -> Dataset:
    """A data set; `NAME@TRAIN` or `NAME@TRAIN,TEST` for that many of its training and test images.

    The images of such a part are balanced over the classes and always the same, and everything made from it keeps the
    part's name: a network that was trained on `cifar10@10000` is pruned and calibrated on the same 10,000 images.
    Raises UnknownName for a name without a file here, UserError for an impossible part.
    """
    dataset: Dataset = plugins.load("edgebench.networks.data", plain_name(name), kind="data set").load()
    return _part(dataset, name, name.partition("@")[2]) if "@" in name else dataset


def plain_name(name: str) -> str:
    """The data set's name, also for a part of it."""
    return name.partition("@")[0]


def _part(whole: Dataset, name: str, parts: str) -> Dataset:
    train, comma, test = parts.partition(",")
    return replace(
        whole,
        name=name,
        train=_some(whole.train, train, whole, name),
        test=_some(whole.test, test, whole, name) if comma else whole.test,
    )


def _some(split: Split, text: str, whole: Dataset, name: str) -> Split:
    least, most = len(whole.class_names), len(split)
    if not (text.isdecimal() and least <= int(text) <= most):
        raise UserError(
            f"data set '{name}'",
            f"'{text}' is not a number of images from {least:,} to {most:,}",
            f"Write {whole.name}@TRAIN or {whole.name}@TRAIN,TEST",
        )
    return balanced(split, int(text))
