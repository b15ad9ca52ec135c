"""How a detector's outputs are laid out, from their sizes; what the device is to do with them (reductions.py: boxes).

    yolov8        [1, 4+classes, cells]: centre, size, scores. YOLOv8 to v12, YOLO-NAS alike; further columns are left
    yolov5        [1, cells x 3, 5+classes]: centre, size, objectness, scores. YOLOv5, v6, v7
    yolox         [1, cells, 5+classes]: places in the cells of three grids, sizes as logarithms
    ssd           [1, n, 4] corners and [1, n, 1+classes] scores, background first; with --anchors, offsets from them
    detr          [1, n, 4] centre and size, and [1, n, classes] scores, or one more for nothing at the end
    end-to-end    [1, n, 6]: corners, score, class; or boxes, scores and classes apart, with or without a count
    torchvision   boxes [n, 4], labels [n] from 1, scores [n]
    postprocess   the four outputs of TFLite_Detection_PostProcess

cells: height x width / 64 + / 256 + / 1024, of the strides 8, 16 and 32.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebench.errors import UnknownName, UserError
from edgebench.networks.scoring import OutputsOfFile, sizes

if TYPE_CHECKING:
    from edgebench.networks.scoring import ScoreChoice

Recipe = dict[str, Any]
STRIDES = (8, 16, 32)
# What an implementation of each removes: boxes of one class that share more than this (IoU).
OVERLAP = {"yolov8": 0.7, "yolov5": 0.6, "yolox": 0.65, "ssd": 0.45, "detr": 0.0}
# Rows of a head that has been thinned out already.
MOST_ROWS = 1000


@dataclass(frozen=True)
class Head:
    """recipe: for the device. classes: of the network, if known."""

    name: str
    recipe: Recipe
    classes: int | None


def found(network: OutputsOfFile, classes: int, choice: ScoreChoice) -> Head:
    """classes: of the data, which tells apart what sizes alone do not. Raises UserError for an unknown layout."""
    finders: dict[str, Callable[[], Head | None]] = {
        "postprocess": lambda: _postprocess(network),
        "torchvision": lambda: _torchvision(network),
        "end-to-end": lambda: _end_to_end(network),
        "yolov8": lambda: _yolo(network, classes, "yolov8", choice.head is not None),
        "yolov5": lambda: _yolo(network, classes, "yolov5", choice.head is not None),
        "yolox": lambda: _yolo(network, classes, "yolox", choice.head is not None),
        "detr": lambda: _pair(network, classes, "detr", choice),
        "ssd": lambda: _pair(network, classes, "ssd", choice),
    }
    if choice.head is not None and choice.head not in finders:
        raise UnknownName("--head", choice.head, finders)
    for name in [choice.head] if choice.head else finders:
        head = finders[name]()
        if head is not None:
            return head
    wanted = f"of the layout {choice.head}" if choice.head else "a layout of detectors that is known"
    raise UserError(
        network.name, f"its outputs are not {wanted}: {network.shown()}",
        f"Name it with --head ({', '.join(finders)}), or score it with --metric package.module:callable",
    )  # fmt: skip


def _postprocess(network: OutputsOfFile) -> Head | None:
    if not network.postprocess:
        return None
    boxes, labels, scores, count = network.postprocess
    recipe = {**_apart(network, boxes, scores, labels), "order": [1, 0, 3, 2], "relative": True, "count": count}
    return Head("postprocess", recipe, None)


def _torchvision(network: OutputsOfFile) -> Head | None:
    roles = _roles(network)
    if roles is None or len(network.outputs) != 3:
        return None
    boxes, scores, labels, _ = roles
    if len(sizes(network.outputs[boxes])) != 2 or len(sizes(network.outputs[labels])) != 1:
        return None
    return Head("torchvision", {**_apart(network, boxes, scores, labels), "relative": False, "first_label": 1}, None)


def _end_to_end(network: OutputsOfFile) -> Head | None:
    if len(network.outputs) == 1:
        shape = sizes(network.outputs[0])
        if len(shape) == 3 and shape[2] == 6 and shape[1] <= MOST_ROWS:
            return Head("end-to-end", {**_table(0, (0, 4), 4, 5), "relative": None}, None)
        if len(shape) == 2 and shape[1] == 7:  # YOLOv7's for ONNX Runtime: image, corners, class, score
            return Head("end-to-end", {**_table(0, (1, 5), 6, 5), "relative": None}, None)
        if len(shape) == 4 and shape[3] == 7:  # Caffe's DetectionOutput: image, class from 1, score, corners
            return Head("end-to-end", {**_table(0, (3, 7), 2, 1), "relative": True, "first_label": 1}, None)
        return None
    roles = _roles(network)
    if roles is None:
        return None
    boxes, scores, labels, count = roles
    counted = {} if count is None else {"count": count}
    return Head("end-to-end", {**_apart(network, boxes, scores, labels), "relative": None, **counted}, None)


def _roles(network: OutputsOfFile) -> tuple[int, int, int, int | None] | None:
    """Places of boxes, scores, classes and, where there is one, their number: by their names, else by their sizes."""
    if len(network.outputs) not in (3, 4):
        return None
    words = {"boxes": ("box",), "scores": ("score", "conf"), "labels": ("label", "class"), "count": ("num", "count")}
    places: dict[str, int] = {}
    for place, one in enumerate(network.outputs):
        for role in ("count", "boxes", "scores", "labels"):
            if role not in places and any(word in one.name.lower() for word in words[role]):
                places[role] = place
                break
    places = places if {"boxes", "scores", "labels"} <= set(places) else _roles_by_dtype(network)
    if {"boxes", "scores", "labels"} - set(places) or (len(network.outputs) == 4 and "count" not in places):
        return None
    if sizes(network.outputs[places["boxes"]])[-1:] != (4,):
        return None
    # A score for each class, not one a row: something is to be done with it yet.
    if len(sizes(network.outputs[places["scores"]])) == 3 and sizes(network.outputs[places["scores"]])[-1] != 1:
        return None
    return places["boxes"], places["scores"], places["labels"], places.get("count")


def _roles_by_dtype(network: OutputsOfFile) -> dict[str, int]:
    """Three outputs without telling names: four columns are boxes, whole numbers are classes."""
    boxes = [place for place, one in enumerate(network.outputs) if sizes(one)[-1:] == (4,)]
    labels = [place for place, one in enumerate(network.outputs) if one.dtype in ("int64", "int32")]
    if len(network.outputs) != 3 or len(boxes) != 1 or len(labels) != 1 or boxes == labels:
        return {}
    (scores,) = {0, 1, 2} - {boxes[0], labels[0]}
    return {"boxes": boxes[0], "labels": labels[0], "scores": scores}


def _apart(network: OutputsOfFile, boxes: int, scores: int, labels: int) -> Recipe:
    return {
        "boxes": [boxes, False, 0, 4],
        "scores": [scores, _is_row(network, scores), 0, 1],
        "labels": [labels, _is_row(network, labels), 0, 1],
        "form": "corners",
    }


def _is_row(network: OutputsOfFile, place: int) -> bool:
    """Whether it is [1, n], not [n] or [1, n, 1]."""
    return len(sizes(network.outputs[place])) == 2


def _table(output: int, boxes: tuple[int, int], score: int, label: int) -> Recipe:
    return {
        "boxes": [output, False, *boxes],
        "scores": [output, False, score, score + 1],
        "labels": [output, False, label, label + 1],
        "form": "corners",
    }


def _yolo(network: OutputsOfFile, classes: int, name: str, is_named: bool) -> Head | None:
    """One output with a row, or a column, for each cell. The other outputs, such as masks' prototypes, are left."""
    cells = sum((network.size[0] // stride) * (network.size[1] // stride) for stride in STRIDES)
    extra = 4 if name == "yolov8" else 5
    for place, one in enumerate(network.outputs):
        shape = sizes(one)
        if len(shape) != 3 or shape[1:] == (-1, -1):
            continue
        turned = shape[1] != -1 and (shape[2] == -1 or shape[2] > shape[1])
        rows, columns = (shape[2], shape[1]) if turned else (shape[1], shape[2])
        if columns < extra + 1 or not (is_named or _fits(name, rows, columns, cells, classes, turned)):
            continue
        own = _class_count(network, columns - extra, classes)
        recipe: Recipe = {
            "boxes": [place, turned, 0, 4],
            "scores": [place, turned, extra, extra + own],
            "form": "centres",
            "relative": None if name != "yolox" else False,
            "activation": "sigmoid",
            "overlap": OVERLAP[name],
        }
        if extra == 5:
            recipe["objectness"] = [place, turned, 4, 5]
        if name == "yolox":
            recipe["strides"] = list(STRIDES)
        return Head(name, recipe, own)
    return None


def _fits(name: str, rows: int, columns: int, cells: int, classes: int, turned: bool) -> bool:
    """Whether it is this one of the three: by the number of rows, by the order of the axes, by that of classes."""
    if name == "yolov5":
        return rows == 3 * cells or (not turned and rows != cells and columns == classes + 5)
    if name == "yolox":
        return rows == cells and not turned
    return turned or (rows == cells and columns != classes + 5)


def _class_count(network: OutputsOfFile, columns: int, classes: int) -> int:
    """Of a head with so many columns of scores and, in segmentation and pose networks, of other things behind them."""
    named = len(class_names(network))
    if 0 < named <= columns:
        return named
    if columns < 0 or (columns > classes and len(network.outputs) > 1):
        return classes
    return columns


def _pair(network: OutputsOfFile, classes: int, name: str, choice: ScoreChoice) -> Head | None:
    """Boxes, and a score for each class."""
    shapes = [sizes(one) for one in network.outputs]
    fitting = [place for place, shape in enumerate(shapes) if len(shape) == 3 and shape[2] == 4]
    # Scores of three classes and a background have four columns too.
    named = [place for place in fitting if re.search("box|loc|reg", network.outputs[place].name.lower())]
    if not fitting:
        return None
    boxes = (named or fitting)[0]
    rows = shapes[boxes][1]
    others = [
        place for place, shape in enumerate(shapes)
        if place != boxes and len(shape) == 3 and shape[1] == rows and shape[2] >= 1
    ]  # fmt: skip
    if not others:
        return None
    columns = shapes[others[0]][2]
    is_detr = "logit" in network.outputs[others[0]].name.lower() and 0 < rows <= MOST_ROWS and choice.anchors is None
    if choice.head is None and is_detr != (name == "detr"):
        return None
    background = columns == classes + 1 or (name == "ssd" and columns > 1 and columns != classes)
    recipe: Recipe = {
        "boxes": [boxes, False, 0, 4],
        "scores": [others[0], False, 0, columns],
        "activation": "softmax" if background else "sigmoid",
        "overlap": OVERLAP[name],
    }
    if name == "detr":
        return Head(name, {**recipe, "form": "centres", "relative": True}, columns - background)
    recipe["first_label"] = int(background)
    if choice.anchors is None:
        return Head(name, {**recipe, "form": "corners", "relative": None}, columns - background)
    anchored = {"anchors": _anchors(choice, rows), "variances": [0.1, 0.2], "form": "centres", "relative": None}
    return Head(name, {**recipe, **anchored}, columns - background)


def _anchors(choice: ScoreChoice, rows: int) -> list[list[float]]:
    """[n, 4]: centre x and y, width, height. Raises UserError."""
    import numpy as np

    where, remedy = str(choice.anchors), "Save them with numpy.save: float32 [n, 4], centre x and y, width, height"
    try:
        found = np.load(where, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(where, f"anchors cannot be read ({error})", remedy) from error
    if getattr(found, "shape", ()) != (rows, 4) or found.dtype.kind != "f" or not np.isfinite(found).all():
        seen = f"it has {getattr(found, 'dtype', 'arrays')} {list(getattr(found, 'shape', ()))}, not float [{rows}, 4]"
        raise UserError(where, seen, remedy)
    return [[float(value) for value in row] for row in found.astype("float32")]


def class_names(network: OutputsOfFile) -> list[str]:
    """As Ultralytics writes them into a file's metadata, {0: 'cat'}; [] where it has none."""
    import ast

    try:
        names = ast.literal_eval(network.declared.get("names", "")[:1_000_000])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    return [str(name) for name in names] if isinstance(names, list) else []
