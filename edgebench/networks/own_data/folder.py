"""A folder of class folders: photos/cat/1.jpg, or photos/train/cat/1.jpg beside photos/test/cat/2.jpg."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from edgebench.errors import BadFile, UserError
from edgebench.networks.own_data import pictures
from edgebench.networks.own_data.listing import (
    SPELLINGS,
    Listing,
    SplitName,
    refuse_class_count,
    refuse_empty_classes,
)


def read(root: Path, *, scored: bool = False) -> Listing:
    """Classes are the sorted names of the training split's folders. scored: a split for testing is enough, also where
    its folder itself is named: photos/test. Raises UserError, BadFile.
    """
    folders = _folders(root)
    splits = {SPELLINGS[name.lower()]: root / name for name in folders if name.lower() in SPELLINGS}
    if scored and "train" not in splits and (splits or SPELLINGS.get(root.name.lower(), "train") != "train"):
        return _for_testing(root, splits, folders)
    if not splits or "train" not in splits:
        if folders and len(splits) == len(folders):
            raise BadFile(
                str(root), f"it has {', '.join(folders)} and no train", "Add a folder train/ with the classes"
            )
        return _listed(root, {None: root}, folders)
    if len(splits) != len(folders):
        others = [name for name in folders if name.lower() not in SPELLINGS]
        seen = f"beside {', '.join(path.name for path in splits.values())} it has {others[0]!r}" if others else (
            "it names one split twice"
        )  # fmt: skip
        raise BadFile(str(root), seen, "Keep train/, val/ and test/ in one folder, and nothing else")
    parts: dict[SplitName | None, Path] = {
        name: splits[name] for name in ("train", "validation", "test") if name in splits
    }
    return _listed(root, parts, _folders(splits["train"]))


def _for_testing(root: Path, splits: dict[SplitName, Path], folders: list[str]) -> Listing:
    place = splits.get("test") or splits.get("validation") or root
    return _listed(root, {"test": place}, _folders(place) if splits else folders)


def _listed(root: Path, parts: dict[SplitName | None, Path], class_names: list[str]) -> Listing:
    refuse_class_count(str(root), len(class_names))
    listing = Listing(class_names)
    number = {name: place for place, name in enumerate(class_names)}
    others: Counter[str] = Counter()
    for split, folder in parts.items():
        start = len(listing.labels)
        for name in _folders(folder):
            if name not in number:
                raise UserError(
                    str(folder / name), "train/ has no class of this name", "Add it there, or rename the folder"
                )
            for file in _files(folder / name):
                suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122  (a Path for each of 50,000 files is slow)
                if suffix in pictures.SUFFIXES:
                    listing.add(file, number[name], split)
                else:
                    others[suffix or "no suffix"] += 1
        if split in (None, "train"):
            refuse_empty_classes(str(folder), class_names, listing.labels[start:])
    if others:
        kinds = ", ".join(suffix for suffix, _ in others.most_common(3))
        listing.remarks.append(f"{sum(others.values()):,} files that are not images were left out ({kinds})")
    return listing


def _folders(root: Path) -> list[str]:
    try:
        with os.scandir(root) as found:
            return sorted(one.name for one in found if not one.name.startswith(".") and one.is_dir())
    except OSError as error:
        raise BadFile(str(root), f"it cannot be read ({error.strerror})", "Check the path and its rights") from error


def _files(folder: Path) -> list[str]:
    """Of all depths, sorted by their paths, hidden ones left out."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [f"{place}/{name}" for name in sorted(names) if not name.startswith(".")]
    return found
