"""Boxes: mAP50-95 and mAP50 as COCO computes them (pycocotools: 101 recalls, the best 100 boxes of an image).

The device leaves the best boxes of an image (reductions.py); here they go back to the pixels of the image as it was
before --letterbox, --resize or --crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgebench.errors import MissingPackage, UserError
from edgebench.networks.own_data import pictures
from edgebench.networks.scoring import KeptAnswers
from edgebench.networks.tasks import _average_precision, _heads
from edgebench.schema.record import Score

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.networks.scoring import ImageAnswers, OutputsOfFile, ScoreChoice

TARGETS = "boxes"
# As usual for mAP: what little a box of a low score costs, it may gain.
LEAST, MOST = 0.001, 100
# Corners, a score and a class.
BOX_BYTES = 22


def asked(network: OutputsOfFile, test: AnnotatedImages, choice: ScoreChoice) -> KeptAnswers:
    try:
        import pycocotools.cocoeval  # noqa: F401  (before minutes of measuring)
    except ModuleNotFoundError as error:
        raise MissingPackage("mAP", "pycocotools", "detection") from error
    if not any(len(one.labels) for one in test.targets):
        raise UserError(test.name, "none of its images has a box", "Give annotations of a test or val split")
    head = _heads.found(network, len(test.class_names), choice)
    table, how = _classes(network, test, head)
    own = head.classes if head.classes is not None else 65535
    recipe = {"kind": "boxes", "size": list(network.size), "classes": own, "least": LEAST, "most": MOST, **head.recipe}
    thinned = f"boxes of a class with IoU above {head.recipe['overlap']:g} removed, " if recipe.get("overlap") else ""
    said = f"{head.name} head: {thinned}the best {MOST} above {LEAST:g}; {how}"
    return KeptAnswers(recipe, said, BOX_BYTES * MOST, table)


def _classes(network: OutputsOfFile, test: AnnotatedImages, head: _heads.Head) -> tuple[tuple[int, ...], str]:
    """Of each of the network's classes the data's, and how that is known; () where they are the same."""
    names, own = list(test.class_names), _heads.class_names(network)
    if own and set(names) & set(own):
        unknown = [name for name in names if name not in own]
        if unknown:
            raise UserError(
                test.name, f"it has the category '{unknown[0]}', which the network does not have",
                f"Its classes are {', '.join(own[:10])}{', ...' if len(own) > 10 else ''}",
            )  # fmt: skip
        return tuple(names.index(name) if name in names else -1 for name in own), "classes by their names"
    if head.classes in (None, len(names)) and not (head.classes is None and _has_gaps(test)):
        return (), "classes in their order"
    last = max(test.numbers, default=-1)
    if _has_gaps(test) and head.classes in (None, last, last + 1):
        first = int(head.classes != last + 1)
        numbers = {number - first: place for place, number in enumerate(test.numbers)}
        return tuple(numbers.get(place, -1) for place in range(last + 1)), "classes by COCO's numbers"
    raise UserError(
        network.name, f"it has {head.classes} classes, the test images {len(names)} ({', '.join(names[:5])}, ...)",
        "Give the data that it was trained for, with all its categories",
    )  # fmt: skip


def _has_gaps(test: AnnotatedImages) -> bool:
    first = min(test.numbers, default=0)
    return any(number - first != place for place, number in enumerate(test.numbers))


def scores(answers: Sequence[ImageAnswers], test: AnnotatedImages, asked: KeptAnswers) -> tuple[Score, ...]:
    found = [_placed(one, place, test, asked) for place, one in enumerate(answers)]
    _refuse_offsets(answers, test)
    return _average_precision.scores(found, list(test.targets), len(test.class_names))


def _placed(answer: ImageAnswers, place: int, test: AnnotatedImages, asked: KeptAnswers) -> tuple[Any, Any, Any]:
    """Corners in pixels of the image, scores, classes of the data."""
    import numpy as np

    corners, scores, classes = answer
    classes = classes.astype(np.int64)
    if asked.classes:
        # What is beyond the table is as unknown as what it leaves out.
        table = np.append(asked.classes, -1)
        classes = table[np.minimum(classes, len(asked.classes))]
    elif len(classes) and int(classes.max()) >= len(test.class_names):
        raise UserError(
            test.name, f"the network found class {int(classes.max())}, the data has {len(test.class_names)}",
            "Give the data that it was trained for, with all its categories",
        )  # fmt: skip
    factors, offsets = pictures.placement(test.sizes[place], test.geometry)
    original = (corners.astype(np.float64) - np.tile(offsets, 2)) / np.tile(factors, 2)
    original = original.clip(0, np.tile(test.sizes[place], 2))
    known = classes >= 0
    return original[known], scores[known], classes[known]


def _refuse_offsets(answers: Sequence[ImageAnswers], test: AnnotatedImages) -> None:
    """Boxes that end left of where they begin are not corners but offsets from anchors."""
    import numpy as np

    corners = np.concatenate([one[0] for one in answers])
    turned = (corners[:, 2:] < corners[:, :2]).any(1)
    if len(corners) and turned.mean() > 0.2:
        raise UserError(
            test.name, f"{turned.mean():.0%} of the network's boxes end before they begin: these are not corners",
            "If they are offsets from anchors, give these: --head ssd --anchors FILE.npy; else name another --head",
        )  # fmt: skip
