"""What a folder or a manifest lists before any image is opened: files, labels, splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgebench.errors import BadFile, UserError

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPELLINGS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# A score has a cell for each pair of classes, and devices answer in 16 bits.
MOST_CLASSES = 10_000


@dataclass
class Listing:
    """files, labels, splits: in step; a split is None where edgebench has to choose. remarks: a line each."""

    class_names: list[str]
    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    splits: list[SplitName | None] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, file: str, label: int, split: SplitName | None) -> None:
        self.files.append(file)
        self.labels.append(label)
        self.splits.append(split)


def refuse_class_count(where: str, count: int) -> None:
    if count < 2:
        raise UserError(
            where,
            f"it has {'one class' if count else 'no classes'}, and a classifier chooses between two or more",
            "Add images of another class (folders have one for each: photos/cat/1.jpg, photos/dog/2.jpg)",
        )
    if count > MOST_CLASSES:
        raise UserError(where, f"it has {count:,} classes, edgebench scores up to {MOST_CLASSES:,}", "Merge classes")


def refuse_empty_classes(where: str, class_names: list[str], labels: list[int]) -> None:
    present = set(labels)
    empty = [name for number, name in enumerate(class_names) if number not in present]
    if empty:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        raise BadFile(
            where,
            f"there is no image of {', '.join(map(repr, empty[:3]))}{more}",
            "Add images (JPEG, PNG, WebP, BMP), or remove the class",
        )
