"""What annotations are, whatever they were written in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgebench.errors import BadFile
from edgebench.networks.own_data.listing import SPELLINGS, SplitName
from edgebench.schema.preprocessing import Geometry

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array

# What is read: images that networks are scored on, or those that ranges are found on.
Part = Literal["scored", "train"]
TargetKind = Literal["classes", "boxes", "masks", "labels", "values"]


@dataclass(frozen=True)
class Boxes:
    """Of one image. corners: float32 [n, 4], left, top, right, bottom in its pixels. labels: int64 [n].

    areas: float32 [n], of what is in the box where that is known. crowds: bool [n], boxes around many objects, which
    count neither way.
    """

    corners: Float32Array
    labels: Int64Array
    areas: Float32Array
    crowds: Any


@dataclass(frozen=True)
class AnnotatedImages:
    """images: uint8 [N, H, W, C], decoded when asked for. targets: for each image a class, Boxes, the path of a mask,
    labels (bool [classes]) or values (float32 [n]). sizes: (width, height) of each image upright, before any geometry.

    sha256: over the targets and the images as they are read. class_names: () where classes have no names. numbers: of
    the classes in COCO's files, else ().
    """

    name: str
    kind: TargetKind
    images: Any
    targets: Sequence[Any]
    sizes: Sequence[tuple[int, int]]
    class_names: tuple[str, ...]
    sha256: str
    geometry: Geometry
    remarks: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def pick(self, places: Sequence[int]) -> AnnotatedImages:
        """Some of them; sha256 stays that of all."""
        import numpy as np

        images = self.images.pick(np.array(places)) if hasattr(self.images, "pick") else self.images[places]
        targets, sizes = ([values[place] for place in places] for values in (self.targets, self.sizes))
        return replace(self, images=images, targets=targets, sizes=sizes)


@dataclass
class Annotations:
    """What a reader finds, before an image is opened. files and targets in step; stated: (width, height), if said."""

    kind: TargetKind
    class_names: list[str]
    files: list[str]
    targets: list[Any]
    remarks: list[str]
    stated: list[tuple[int, int] | None]
    numbers: list[int]

    def __init__(self, kind: TargetKind, class_names: list[str]) -> None:
        self.kind, self.class_names = kind, class_names
        self.files, self.targets, self.remarks, self.stated, self.numbers = [], [], [], [], []

    def first(self, count: int | None) -> None:
        """Of the images only so many; None: all."""
        self.leave_out(range(count if count is not None else len(self.files), len(self.files)))

    def leave_out(self, places: Collection[int]) -> None:
        kept = [place for place in range(len(self.files)) if place not in places]
        self.files = [self.files[place] for place in kept]
        self.targets = [self.targets[place] for place in kept]
        self.stated = [self.stated[place] for place in kept]

    def add(self, file: str, target: Any, stated: tuple[int, int] | None = None) -> None:
        self.files.append(file)
        self.targets.append(target)
        self.stated.append(stated)


def lines(file: Path) -> list[str]:
    """Of a text file, without empty ones. Raises BadFile."""
    try:
        found = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise BadFile(str(file), f"it cannot be read ({error})", "Write it as UTF-8 text") from error
    return [line.strip() for line in found if line.strip()]


def chosen_split(names: Sequence[str], part: Part = "scored") -> str | None:
    """Of the names of splits the one for a purpose; None: it is not there. scored: test, else val."""
    wanted: tuple[SplitName, ...] = ("train",) if part == "train" else ("test", "validation")
    for split in wanted:
        for name in names:
            if SPELLINGS.get(name.lower()) == split:
                return name
    return None
