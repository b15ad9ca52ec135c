"""Masks: for images/a.jpg a PNG masks/a.png of the same size, whose pixels are classes; 255 is not scored.

names of the classes: a line each in classes.txt, where there is one.
"""

from __future__ import annotations

from pathlib import Path

from edgebench.errors import BadFile
from edgebench.networks.own_data import pictures
from edgebench.networks.own_data.annotations import Annotations, Part, chosen_split, lines

_REMEDY = "See 'Masks' in docs/own-data.md"


def read(path: Path, part: Part = "scored") -> Annotations | None:
    """None for a folder of other things."""
    if not path.is_dir():
        return None
    split = chosen_split([one.name for one in path.iterdir() if one.is_dir()], part)
    root = path / split if split and (path / split / "masks").is_dir() else path
    images, masks = root / "images", root / "masks"
    if not images.is_dir() or not masks.is_dir():
        return None
    inner = chosen_split([one.name for one in images.iterdir() if one.is_dir()], part)
    if part == "train" and inner is None and root == path:
        return None
    if inner:
        images, masks = images / inner, masks / inner
    names = path / "classes.txt"
    found = Annotations("masks", lines(names) if names.is_file() else [])
    for image in sorted(one for one in images.iterdir() if one.suffix.lower() in pictures.SUFFIXES):
        mask = masks / f"{image.stem}.png"
        if not mask.is_file():
            raise BadFile(str(image), f"its mask is looked for in {mask}, which is missing", _REMEDY)
        found.add(str(image), str(mask))
    return found
