"""COCO's annotations: one JSON file with images, categories and boxes [left, top, width, height] in pixels.

Images are looked for beside the file, in images/, and where COCO itself has them: annotations/instances_val2017.json
belongs to val2017/ or images/val2017/. In a folder the file is _annotations.coco.json, or the only .json in it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import msgspec

from edgebench.errors import BadFile
from edgebench.networks.own_data.annotations import Annotations, Boxes, Part, chosen_split

_REMEDY = "See 'Boxes' in docs/own-data.md"
MOST_BYTES = 1 << 30
ANNOTATIONS = "_annotations.coco.json"
Pixels = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class CocoImage(msgspec.Struct, frozen=True):
    id: int
    file_name: str
    width: Annotated[int, msgspec.Meta(ge=1)]
    height: Annotated[int, msgspec.Meta(ge=1)]


class CocoCategory(msgspec.Struct, frozen=True):
    id: int
    name: str


class CocoAnnotation(msgspec.Struct, frozen=True):
    image_id: int
    category_id: int
    bbox: tuple[Pixels, Pixels, Pixels, Pixels]
    area: Annotated[float, msgspec.Meta(ge=0, le=1e18)] = 0.0
    iscrowd: int = 0


class CocoFile(msgspec.Struct, frozen=True):
    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation]


def read(path: Path, part: Part = "scored") -> Annotations | None:
    """None where there is no such file."""
    file = _file(path, part)
    if file is None:
        return None
    try:
        content = _content(file)
    except BadFile:
        if path.is_dir() and file.name != ANNOTATIONS:
            return None  # a folder of images may hold any other .json
        raise
    folder = _folder(file, content)
    # Classes are the categories in the order of their numbers, as all tools count them.
    categories = sorted(content.categories, key=lambda one: one.id)
    number = {one.id: place for place, one in enumerate(categories)}
    known = {one.id for one in content.images}
    of_image: dict[int, list[CocoAnnotation]] = defaultdict(list)
    for one in content.annotations:
        if one.category_id not in number:
            raise BadFile(str(file), f"a box has the category {one.category_id}, which it does not list", _REMEDY)
        if one.image_id not in known:
            raise BadFile(str(file), f"a box belongs to image {one.image_id}, which it does not list", _REMEDY)
        of_image[one.image_id].append(one)
    found = Annotations("boxes", [one.name for one in categories])
    found.numbers = [one.id for one in categories]
    for image in content.images:
        boxes = _boxes(file, image, of_image[image.id], number)
        found.add(str(folder / image.file_name), boxes, (image.width, image.height))
    return found


def _file(path: Path, part: Part) -> Path | None:
    if path.suffix.lower() == ".json":
        return path if part == "scored" else _for_training(path)
    if not path.is_dir():
        return None
    split = chosen_split([one.name for one in path.iterdir() if one.is_dir()], part)
    for folder in (*([path] if part == "scored" else []), *([path / split] if split else [])):
        if (folder / ANNOTATIONS).is_file():
            return folder / ANNOTATIONS
        files = list(folder.glob("*.json"))
        if len(files) == 1:
            return files[0]
    return None


def _for_training(path: Path) -> Path | None:
    """instances_train2017.json beside instances_val2017.json."""
    other = path.with_name(re.sub("val(id(ation)?)?|test(ing)?", "train", path.name, count=1))
    return other if other != path and other.is_file() else None


def _content(file: Path) -> CocoFile:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise BadFile(str(file), f"it is larger than {MOST_BYTES / 1e9:.1f} GB", _REMEDY)
        return msgspec.json.decode(file.read_bytes(), type=CocoFile)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadFile(str(file), f"it is not an annotation file of COCO's kind ({error})", _REMEDY) from error


def _folder(file: Path, content: CocoFile) -> Path:
    """Of the images. Where none is found: beside the file, so that the message names a sensible place."""
    split = file.stem.rpartition("_")[2]
    above = file.parent.parent
    places = [file.parent, file.parent / "images", above / split, above / "images" / split, above / "images", above]
    first = content.images[0].file_name if content.images else ""
    return next((one for one in places if first and os.path.isfile(one / first)), file.parent)  # noqa: PTH113


def _boxes(file: Path, image: CocoImage, annotations: list[CocoAnnotation], number: dict[int, int]) -> Boxes:
    import numpy as np

    boxes = np.array([one.bbox for one in annotations], np.float64).reshape(-1, 4)
    if (boxes[:, 2:] < 0).any():
        raise BadFile(str(file), f"a box of {image.file_name} has a negative width or height", _REMEDY)
    corners: Any = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1).astype(np.float32)
    labels = np.array([number[one.category_id] for one in annotations], np.int64)
    areas = np.array([one.area for one in annotations], np.float32)
    return Boxes(corners, labels, areas, np.array([bool(one.iscrowd) for one in annotations], bool))
