"""YOLO's annotations: for images/a.jpg a text file labels/a.txt, a line a box, in shares of width and height.

    labels/a.txt    2 0.51 0.40 0.20 0.30      class, x and y of the centre, width, height
    data.yaml       path: .                    where there is one: folders of the splits, names of the classes
                    val: images/val
                    names: [cat, dog]

More numbers than five are a polygon, whose box is taken. An image without its text file has no objects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from edgebench.errors import BadFile
from edgebench.networks.own_data import pictures
from edgebench.networks.own_data.annotations import Annotations, Boxes, Part, chosen_split, lines

_REMEDY = "See 'Boxes' in docs/own-data.md"
_NAMES = ("data.yaml", "data.yml", "dataset.yaml")


def read(path: Path, part: Part = "scored") -> Annotations | None:
    """None for a folder of other things."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return _described(path, part)
    if not path.is_dir():
        return None
    for name in _NAMES:
        if (path / name).is_file():
            return _described(path / name, part)
    if not (path / "images").is_dir() or not (path / "labels").is_dir():
        return None
    split = chosen_split([one.name for one in (path / "images").iterdir() if one.is_dir()], part)
    if split is None and part == "train":
        return None
    names = next((one for one in (path / "classes.txt", path / "labels/classes.txt") if one.is_file()), None)
    files = _images(path / "images" / split if split else path / "images")
    return _listed(path, files, lines(names) if names else [])


def _described(file: Path, part: Part) -> Annotations | None:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadFile(str(file), f"it cannot be read ({error})", _REMEDY) from error
    split = (
        chosen_split([key for key in content if isinstance(key, str) and content[key]], part)
        if isinstance(content, dict)
        else None
    )
    if split is None and part == "train":
        return None
    if split is None or not isinstance(content.get("names"), list | dict):
        raise BadFile(str(file), "it does not say where the images of test or val are, and the names", _REMEDY)
    names = content["names"]
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise BadFile(str(file), "its names are not numbered from 0", _REMEDY)
        names = [names[number] for number in range(len(names))]
    root = file.parent / str(content.get("path") or ".")
    files: list[str] = []
    for place in content[split] if isinstance(content[split], list) else [content[split]]:
        # Roboflow writes ../valid/images beside a data.yaml that lies one level higher than it thinks.
        places = [root / place, file.parent / place, file.parent / str(place).removeprefix("../")]
        found = next((one for one in places if os.path.exists(one)), None)  # noqa: PTH110
        if found is None:
            raise BadFile(str(file), f"{places[0]}, its '{split}', is missing", "Correct `path` or the split in it")
        files += _images(found)
    annotations = _listed(file, files, [str(name) for name in names])
    annotations.remarks.append(f"{len(files):,} images of '{split}'")
    return annotations


def _images(place: Path) -> list[str]:
    """Of a folder and those below, or listed in a text file."""
    if place.is_file():
        return [str(place.parent / line) for line in lines(place)]
    return sorted(str(one) for one in place.rglob("*") if one.suffix.lower() in pictures.SUFFIXES)


def _listed(where: Path, files: list[str], class_names: list[str]) -> Annotations:
    found = Annotations("boxes", class_names)
    without, most = 0, -1
    for file in files:
        text = _text_of(Path(file))
        without += not text.is_file()
        boxes = _boxes(text, class_names) if text.is_file() else _boxes_of([])
        most = max(most, int(boxes.labels.max(initial=-1)))
        found.add(file, boxes)
    if files and without == len(files):
        raise BadFile(
            str(where), f"none of its {without:,} images has a text file, e.g. {_text_of(Path(files[0]))}", _REMEDY
        )
    if without:
        found.remarks.append(f"{without:,} of {len(files):,} images have no text file, so no objects")
    if not class_names:
        found.class_names = [str(number) for number in range(most + 1)]
    return found


def _text_of(image: Path) -> Path:
    """The last folder called images becomes labels; else they are side by side."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _boxes(text: Path, class_names: list[str]) -> Boxes:
    rows = []
    try:
        content = text.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise BadFile(str(text), f"it cannot be read ({error})", _REMEDY) from error
    for number, line in enumerate(content, 1):
        words = line.split()
        if not words:
            continue
        where = f"{text}, line {number}"
        try:
            label, values = int(words[0]), [float(word) for word in words[1:]]
        except ValueError as error:
            raise BadFile(where, f"'{line[:80]}' is not a class and numbers", _REMEDY) from error
        if len(values) < 4 or (len(values) > 4 and len(values) % 2):
            raise BadFile(where, f"it has {len(values)} numbers after the class, a box has four", _REMEDY)
        if label < 0 or (class_names and label >= len(class_names)):
            raise BadFile(where, f"class {label} has no name, there are {len(class_names)}", "Add it to the names")
        if len(values) > 4:
            left, top, right, bottom = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        else:
            x, y, width, height = values
            left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        rows.append((left, top, right, bottom, label))
    return _boxes_of(rows)


def _boxes_of(rows: list[tuple[float, float, float, float, int]]) -> Boxes:
    """In shares of the image, until its size is known."""
    import numpy as np

    table: Any = np.array(rows, np.float64).reshape(-1, 5)
    count = len(table)
    return Boxes(
        table[:, :4].astype(np.float32),
        table[:, 4].astype(np.int64),
        np.zeros(count, np.float32),
        np.zeros(count, bool),
    )
