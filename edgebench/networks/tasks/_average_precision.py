"""COCO's mAP of boxes, and its value on samples of the images.

pycocotools decides which box matches which; that is so for each image by itself. How precision adds up over a sample in
which images occur several times is computed here; with every image once it is COCOeval's own (a test compares them).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgebench.networks.tasks import _resampling
from edgebench.schema.record import Score

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import Boxes

MOST = 100


def scores(found: Sequence[tuple[Any, Any, Any]], truth: Sequence[Boxes], classes: int) -> tuple[Score, ...]:
    """found: for each image corners [n, 4], scores [n], classes [n]."""
    import numpy as np

    evaluated = _evaluated(found, truth, classes)
    precision = evaluated.eval["precision"][:, :, :, 0, 0]
    known = precision[0, 0] > -1
    whole = precision[:, :, known].mean((1, 2))
    samples = resampled(evaluated, len(truth), _resampling.weights(len(truth)))
    at_50 = int(np.argmin(np.abs(evaluated.params.iouThrs - 0.5)))
    return (
        Score("mAP50-95", float(whole.mean()), resampled=tuple(samples.mean(1).tolist())),
        Score("mAP50", float(whole[at_50]), resampled=tuple(samples[:, at_50].tolist())),
    )


def _evaluated(found: Sequence[tuple[Any, Any, Any]], truth: Sequence[Boxes], classes: int) -> Any:
    import numpy as np
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations: list[dict[str, Any]] = []
    rows = []
    for image, ((corners, values, labels), boxes) in enumerate(zip(found, truth, strict=True), 1):
        sides = boxes.corners[:, 2:] - boxes.corners[:, :2]
        for place in range(len(boxes.labels)):
            box = [float(value) for value in (*boxes.corners[place, :2], *sides[place])]
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": int(boxes.labels[place]) + 1,
                "bbox": box, "area": float(boxes.areas[place]), "iscrowd": int(boxes.crowds[place]),
            })  # fmt: skip
        size = corners[:, 2:] - corners[:, :2]
        number = np.full(len(values), image)
        rows.append(np.column_stack([number, corners[:, :2], size, values, labels + 1]))
    dataset = {
        "images": [{"id": image} for image in range(1, len(truth) + 1)],
        "categories": [{"id": number} for number in range(1, classes + 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        known = COCO()
        known.dataset = dataset
        known.createIndex()
        answers = COCO()
        answers.dataset = {**dataset, "annotations": _as_annotations(np.concatenate(rows))}
        answers.createIndex()
        evaluated = COCOeval(known, answers, "bbox")
        # Of any size: the metrics that are shown.
        evaluated.params.areaRng, evaluated.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluated.params.maxDets = [MOST]
        evaluated.evaluate()
        evaluated.accumulate()
    return evaluated


def _as_annotations(rows: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": number, "image_id": int(row[0]), "bbox": row[1:5].tolist(), "area": float(row[3] * row[4]),
            "score": float(row[5]), "category_id": int(row[6]), "iscrowd": 0,
        }
        for number, row in enumerate(rows, 1)
    ]  # fmt: skip


def resampled(evaluated: Any, images: int, weights: Any) -> Any:
    """float64 [samples, thresholds]: the mean over the classes that a sample has. weights: [samples, images]."""
    import numpy as np

    params = evaluated.params
    total = np.zeros((len(weights), len(params.iouThrs)))
    classes = np.zeros(len(weights))
    for number in range(len(params.catIds)):
        seen = evaluated.evalImgs[number * images : (number + 1) * images]
        kept = [(image, one) for image, one in enumerate(seen) if one is not None]
        wanted = np.zeros(images)
        for image, one in kept:
            wanted[image] = (np.asarray(one["gtIgnore"]) == 0).sum()
        count = weights @ wanted
        if not count.any():
            continue
        values = np.concatenate([np.asarray(one["dtScores"], float)[:MOST] for _, one in kept])
        order = np.argsort(-values, kind="mergesort")
        where = np.concatenate([np.full(len(one["dtScores"][:MOST]), image) for image, one in kept])[order]
        matched, ignored = (
            np.concatenate([np.asarray(one[key], bool)[:, :MOST] for _, one in kept], 1)[:, order]
            for key in ("dtMatches", "dtIgnore")
        )
        right, wrong = matched & ~ignored, ~matched & ~ignored
        for sample in np.flatnonzero(count):
            times = weights[sample, where]
            total[sample] += _precisions(right * times, wrong * times, count[sample], params.recThrs)
            classes[sample] += 1
    return total / np.maximum(classes, 1)[:, None]


def _precisions(right: Any, wrong: Any, count: float, recalls: Any) -> Any:
    """float64 [thresholds]: the mean of the best precision at or beyond each recall. right, wrong: [thresholds, n]."""
    import numpy as np

    found, every = right.cumsum(1), (right + wrong).cumsum(1)
    precision = found / (every + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    means = np.zeros(len(found))
    for place, recall in enumerate(found / count):
        at = np.searchsorted(recall, recalls, side="left")
        means[place] = np.append(best[place], 0.0)[at].sum() / len(recalls)
    return means
