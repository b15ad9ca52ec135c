"""What is kept of a network's answers to one image: all of a detector's would be megabytes.

how["kind"]   top      places of the largest values of an output, best first
              values   outputs as they are
              map      the class of each pixel
              boxes    the best boxes of an image, overlapping ones of the same class removed

The host calls the same functions, so that both make the same numbers of the same answers. numpy comes with every
runtime in whose worker this runs.
"""

from __future__ import annotations

import base64
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def reduced(outputs: Sequence[Any], how: dict[str, Any]) -> list[Any]:
    """outputs: of one inference, dequantised. Returns a list of arrays, as many for every image."""
    kept: list[Any] = {"top": _top, "values": _values, "map": _map, "boxes": _boxes}[how["kind"]](outputs, how)
    return kept


def packed(images: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """For each array the shapes that it has in all images, and their numbers one behind the other."""
    import numpy as np

    parts = []
    for arrays in zip(*images):
        flat = np.concatenate([one.ravel() for one in arrays])
        data = base64.b64encode(zlib.compress(flat.astype(flat.dtype.newbyteorder("<")).tobytes(), 1)).decode()
        parts.append({"dtype": flat.dtype.name, "shapes": [list(one.shape) for one in arrays], "zlib_base64": data})
    return parts


def _top(outputs: Sequence[Any], how: dict[str, Any]) -> list[Any]:
    """uint16 [count]; the first of equal ones comes first."""
    import numpy as np

    values = np.nan_to_num(outputs[how["output"]].ravel().astype("float32"), nan=-np.inf)
    return [np.argsort(-values, kind="stable")[: how["count"]].astype("uint16")]


def _values(outputs: Sequence[Any], how: dict[str, Any]) -> list[Any]:
    return [one.astype("float32") for one in outputs]


def _map(outputs: Sequence[Any], how: dict[str, Any]) -> list[Any]:
    """uint8 or uint16 [height, width]. axis: of the classes; None: the output is a map of classes already.

    A single channel is in the second class where its probability is above a half, or its logit above 0.
    """
    values, axis = outputs[how["output"]], how["axis"]
    if axis is not None and values.shape[axis] == 1:
        is_logit = values.min() < 0 or values.max() > 1
        classes = (values > (0.0 if is_logit else 0.5)).squeeze(axis)
    else:
        classes = values if axis is None else values.argmax(axis)
    return [classes.reshape(classes.shape[-2:]).astype("uint8" if how["classes"] <= 256 else "uint16")]


# Candidates of one image before overlapping ones are removed: the best of them.
MOST_CANDIDATES = 10_000


def _boxes(outputs: Sequence[Any], how: dict[str, Any]) -> list[Any]:
    """Corners in pixels of the network's input, float32 [n, 4] (left, top, right, bottom); scores, float32 [n];
    classes, uint16 [n]; best first. Without a class's own column (`labels`) a row has a score for each class, and is
    a candidate for each of them.
    """
    import numpy as np

    corners = _corners(outputs, how)
    scores = _activated(_columns(outputs, how["scores"]), how.get("activation"))
    if "objectness" in how:
        scores = scores * _activated(_columns(outputs, how["objectness"]), how.get("activation"))
    if "labels" in how:
        labels = np.rint(_columns(outputs, how["labels"])[:, 0]) - how.get("first_label", 0)
        if "count" in how:
            labels[int(outputs[how["count"]].ravel()[0]) :] = -1
        rows = np.flatnonzero((labels >= 0) & (scores[:, 0] >= how["least"]))
        labels, scores = labels[rows].astype("int64"), scores[rows, 0]
    else:
        scores = scores[:, how.get("first_label", 0) :][:, : how["classes"]]
        rows, labels = np.nonzero(scores >= how["least"])
        scores = scores[rows, labels]
    finite = np.isfinite(corners[rows]).all(1)
    order = np.argsort(-np.where(finite, scores, -1), kind="stable")[:MOST_CANDIDATES]
    order = order[finite[order]]
    corners, scores, labels = corners[rows[order]], scores[order], labels[order]
    kept = _apart(corners, labels, how["overlap"], how["most"]) if how.get("overlap") else slice(how["most"])
    return [corners[kept], scores[kept], labels[kept].astype("uint16")]


def _columns(outputs: Sequence[Any], where: Sequence[Any]) -> Any:
    """float32 [rows, columns]. where: (output, whether its rows are columns, first column, the one after the last)."""
    output, turned, first, last = where
    values = outputs[output]
    values = values.reshape(values.shape[-2:]) if values.ndim > 1 else values.reshape(-1, 1)
    return (values.T if turned else values)[:, first:last].astype("float32")


def _activated(values: Any, how: str | None) -> Any:
    """how: what makes probabilities of them, if they are none yet (up to a step of INT8)."""
    import numpy as np

    if not values.size or (values.min() > -0.02 and values.max() < 1.02):
        return values
    if how == "sigmoid":
        return 1 / (1 + np.exp(-values))
    if how == "softmax":
        powers = np.exp(values - values.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)
    return values


def _corners(outputs: Sequence[Any], how: dict[str, Any]) -> Any:
    """float32 [rows, 4] in pixels of the input."""
    import numpy as np

    boxes = _columns(outputs, how["boxes"])
    if how.get("order"):
        boxes = boxes[:, how["order"]]
    if "anchors" in how:
        centre, size = np.split(np.asarray(how["anchors"], "float32"), 2, 1)
        near, far = (np.float32(one) for one in how["variances"])
        boxes = np.concatenate([centre + boxes[:, :2] * near * size, size * np.exp(boxes[:, 2:] * far)], 1)
    elif "strides" in how:
        cells, steps = _cells(how["size"], how["strides"])
        boxes = np.concatenate([(boxes[:, :2] + cells) * steps, np.exp(boxes[:, 2:]) * steps], 1)
    if how["form"] == "centres":
        centre, half = boxes[:, :2], boxes[:, 2:] / 2
        boxes = np.concatenate([centre - half, centre + half], 1)
    height, width = how["size"]
    # Among the boxes of an image in pixels some are wider than two of them.
    relative = np.nanmax(np.abs(boxes), initial=0) <= 2 if how["relative"] is None else how["relative"]
    return (boxes * np.array([width, height, width, height]) if relative else boxes).astype("float32")


def _cells(size: Sequence[int], strides: Sequence[int]) -> Any:
    """The places of all cells of a pyramid of grids, float32 [rows, 2], and their strides, float32 [rows, 1]."""
    import numpy as np

    places, steps = [], []
    for stride in strides:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        places.append(np.stack([x.ravel(), y.ravel()], 1))
        steps.append(np.full((y.size, 1), stride))
    return np.concatenate(places).astype("float32"), np.concatenate(steps).astype("float32")


def _apart(corners: Any, labels: Any, overlap: float, most: int) -> list[int]:
    """Rows, best first, without those that a better one of their class covers by more than `overlap` (IoU)."""
    import numpy as np

    areas = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), 1)
    left = np.arange(len(corners))
    kept: list[int] = []
    while left.size and len(kept) < most:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low = np.maximum(corners[left, :2], corners[best, :2])
        high = np.minimum(corners[left, 2:], corners[best, 2:])
        shared = np.prod(np.maximum(high - low, 0), 1)
        union = np.maximum(areas[left] + areas[best] - shared, 1e-9)
        left = left[(shared / union <= overlap) | (labels[left] != labels[best])]
    return kept
