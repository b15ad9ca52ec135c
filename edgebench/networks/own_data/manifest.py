"""A manifest: one line an image, with its label and, where wanted, its split.

    photos.csv          path,label,split            photos.jsonl    {"path": "a.jpg", "label": "cat", "split": "train"}
                        a.jpg,cat,train

Paths are relative to the manifest. Labels are names, or numbers from 0; split may be missing, for all lines or none.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebench.errors import BadFile
from edgebench.networks.own_data.listing import (
    SPELLINGS,
    Listing,
    SplitName,
    refuse_class_count,
    refuse_empty_classes,
)

_REMEDY = "Write a line for each image: path, label and, if you like, split (train, validation or test)"


def read(path: Path, *, scored: bool = False) -> Listing:
    """Raises BadFile, which names the line."""
    lines = [_row(path, number, row) for number, row in rows(path)]
    if not lines:
        raise BadFile(str(path), "it lists no images", _REMEDY)
    unsplit = sum(split is None for _, _, split in lines)
    if 0 < unsplit < len(lines):
        raise BadFile(str(path), f"{unsplit:,} of its {len(lines):,} lines name no split, the others do", _REMEDY)
    class_names = _class_names(path, [label for _, label, _ in lines])
    refuse_class_count(str(path), len(class_names))
    number = {name: place for place, name in enumerate(class_names)}
    listing = Listing(class_names)
    missing = []
    for file, label, split in lines:
        whole = path.parent / file
        if not whole.is_file():
            missing.append(file)
        listing.add(str(whole), number[label], split)
    if missing:
        more = f" and {len(missing) - 1:,} more of its files are" if len(missing) > 1 else ", which it names, is"
        raise BadFile(
            str(path),
            f"{missing[0]}{more} missing",
            f"Paths are relative to {path.parent}",
        )
    learnt = [label for label, split in zip(listing.labels, listing.splits, strict=True) if split in (None, "train")]
    if not learnt and not scored:
        raise BadFile(str(path), "no line is of the split 'train'", _REMEDY)
    if learnt:
        refuse_empty_classes(f"{path}, split 'train'", class_names, learnt)
    return listing


def rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if path.suffix.lower() == ".csv":
                yield from enumerate(csv.DictReader(stream), 2)
                return
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise BadFile(str(path), f"it cannot be read ({error})", _REMEDY) from error


def _row(path: Path, number: int, row: Any) -> tuple[str, str, SplitName | None]:
    if not isinstance(row, dict):
        raise BadFile(f"{path}, line {number}", "it is not an object with path and label", _REMEDY)
    file, label, split = row.get("path"), row.get("label"), row.get("split")
    if isinstance(label, int) and not isinstance(label, bool):
        label = str(label)
    for key, value in (("path", file), ("label", label)):
        if not isinstance(value, str) or not value:
            raise BadFile(f"{path}, line {number}", f"it has no {key}", _REMEDY)
    if split in (None, ""):
        return file, label, None  # type: ignore[return-value]
    known = SPELLINGS.get(str(split).lower())
    if known is None:
        raise BadFile(f"{path}, line {number}", f"'{split}' is not a split", "Use train, validation or test")
    return file, label, known  # type: ignore[return-value]


def _class_names(path: Path, labels: list[str]) -> list[str]:
    """In their order as numbers if all are, else as names. Numbers are indices: none may be left out."""
    names = set(labels)
    if not all(name.isdecimal() and len(name) < 19 for name in names):
        return sorted(names)
    numbers = sorted(int(name) for name in names)
    if numbers != list(range(len(numbers))) or len(numbers) != len(names):
        missing = next((n for n, number in enumerate(numbers) if n != number), len(numbers))
        raise BadFile(
            str(path), f"its labels are numbers up to {numbers[-1]:,}, and there is no image of {missing}",
            "Number classes from 0 without gaps, or use names",
        )  # fmt: skip
    return [str(number) for number in numbers]
