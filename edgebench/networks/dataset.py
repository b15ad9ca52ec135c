"""What a data set is: three splits of images with labels, and how they become a network's input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebench.networks.lazy_images import LazyImages, in_memory, pieces
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgebench.networks.lazy_images import Images
    from edgebench.schema.arrays import Int64Array

CALIBRATION_IMAGES = 256
PIECE = 256


@dataclass(frozen=True)
class Split:
    """images: uint8 [N, H, W, C], in memory or decoded when they are asked for; float32 only in a user's own arrays.
    labels: int64 [N], 0 <= label < number of classes.

    index: int64 [N], the position of each image in the official split it came from; None: all of it, in order.
    """

    images: Images
    labels: Int64Array
    index: Int64Array | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype.name not in ("uint8", "float32"):
            raise ValueError(
                f"images must be uint8 or float32 [N, H, W, C], not {self.images.dtype} {self.images.shape}"
            )
        if self.labels.dtype.name != "int64" or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be int64 [{len(self.images)}], not {self.labels.dtype} {self.labels.shape}")
        if self.index is not None and (self.index.dtype.name, self.index.shape) != ("int64", self.labels.shape):
            raise ValueError(f"index must be int64 [{len(self.images)}], not {self.index.dtype} {self.index.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Any) -> Split:
        images = self.images.pick(index) if isinstance(self.images, LazyImages) else self.images[index]
        return Split(images, self.labels[index], self.positions()[index])

    def decoded(self) -> Split:
        """The same with its images in memory."""
        return Split(self.images[:], self.labels, self.index)

    def kept(self) -> Split:
        """The same, in memory if it is small."""
        return Split(in_memory(self.images), self.labels, self.index)

    def digest(self) -> str:
        """sha256 over shape, images and labels; files that are not decoded yet stand for their images."""
        whole = hashlib.sha256(str(self.images.shape).encode())
        content = self.images.content if isinstance(self.images, LazyImages) else b""
        for some in () if content else pieces(self.images, PIECE):
            whole.update(some.tobytes())
        whole.update(content)
        whole.update(self.labels.tobytes())
        return whole.hexdigest()

    def positions(self) -> Int64Array:
        """`index`, written out if it is None."""
        import numpy as np

        return np.arange(len(self), dtype=np.int64) if self.index is None else self.index


@dataclass(frozen=True)
class Dataset:
    """The official test split is `test`; `validation` was cut from the official training split.

    flip: a mirrored image still belongs to its class (clothes yes, digits no). content: sha256 over a user's own data,
    "" for built-in data sets. remarks: what whoever uses it should know, a line each. annotated: the test
    images with boxes, masks, ... (AnnotatedImages), which have no class; their labels are 0.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    flip: bool
    licence: str
    content: str = ""
    remarks: tuple[str, ...] = ()
    annotated: Any = None

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
    digest = hashlib.sha256(dataset.content.encode())
    for name, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        digest.update(f"{name} {len(split)}\n".encode())
        digest.update(split.positions().astype("<i8").tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()
