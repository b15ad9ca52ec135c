"""A manifest whose lines have several labels, or numbers.

tags.csv    path,labels,split         ages.csv    path,value,split        pose.jsonl  {"path": "a.jpg",
            a.jpg,cat;indoors,test                a.jpg,31.5,test                      "values": [0.1, 0.7]}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebench.errors import BadFile
from edgebench.networks.own_data import manifest
from edgebench.networks.own_data.annotations import Annotations, Part, chosen_split

_REMEDY = "See 'Several labels, numbers' in docs/own-data.md"


def read(path: Path, part: Part = "scored") -> Annotations | None:
    """None for manifests of one label a line, whatever other columns they have."""
    if path.suffix.lower() not in (".csv", ".jsonl"):
        return None
    rows = [(number, row) for number, row in manifest.rows(path) if isinstance(row, dict)]
    keys = set(rows[0][1]) if rows else set()
    several = next((key for key in ("labels", "value", "values") if key in keys), None)
    if several is None or "label" in keys:
        return None
    split = chosen_split(sorted({str(row.get("split") or "") for _, row in rows}), part)
    if split is None and part == "train":
        return None
    kept = [(number, row) for number, row in rows if split is None or row.get("split") == split]
    for number, row in kept:
        if not isinstance(row.get("path"), str) or not row["path"]:
            raise BadFile(f"{path}, line {number}", "it has no path", _REMEDY)
    files = [str(path.parent / row["path"]) for _, row in kept]
    if several == "labels":
        return _labels(path, files, [_words(path, number, row["labels"]) for number, row in kept])
    found = Annotations("values", [])
    for file, (number, row) in zip(files, kept, strict=True):
        found.add(file, _numbers(path, number, row[several]))
    lengths = {len(target) for target in found.targets}
    if len(lengths) > 1:
        raise BadFile(str(path), f"its lines have {min(lengths)} to {max(lengths)} values", "Give all as many")
    return found


def _labels(path: Path, files: Sequence[str], labels: Sequence[list[str]]) -> Annotations:
    import numpy as np

    names = sorted({word for words in labels for word in words})
    if names and all(name.isdecimal() for name in names):
        names = [str(number) for number in range(max(map(int, names)) + 1)]
    place = {name: number for number, name in enumerate(names)}
    found = Annotations("labels", names)
    for file, words in zip(files, labels, strict=True):
        target = np.zeros(len(names), bool)
        target[[place[str(int(word)) if word.isdecimal() else word] for word in words]] = True
        found.add(file, target)
    return found


def _words(path: Path, number: int, labels: Any) -> list[str]:
    if isinstance(labels, str):
        return [word.strip() for word in labels.split(";") if word.strip()]
    if isinstance(labels, list) and all(isinstance(one, str | int) for one in labels):
        return [str(one) for one in labels]
    raise BadFile(f"{path}, line {number}", f"its labels are {labels!r}", _REMEDY)


def _numbers(path: Path, number: int, values: Any) -> Any:
    import numpy as np

    given = values.split(";") if isinstance(values, str) else values if isinstance(values, list) else [values]
    try:
        found = np.array([float(one) for one in given], np.float32)
    except (TypeError, ValueError) as error:
        raise BadFile(f"{path}, line {number}", f"its value is {values!r}, not a number", _REMEDY) from error
    if not len(found) or not np.isfinite(found).all():
        raise BadFile(f"{path}, line {number}", f"its value is {values!r}, not a finite number", _REMEDY)
    return found
