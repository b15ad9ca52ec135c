"""A class for each pixel: mean IoU over the classes that occur, and the share of pixels that are right.

Masks get the geometry of the images (nearest neighbour), the network's map is stretched to that size: a pixel of the
network's input counts once. 255 in a mask, and what an image does not cover, counts as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, UserError
from edgebench.networks.own_data import pictures
from edgebench.networks.scoring import KeptAnswers, sizes
from edgebench.networks.tasks import _resampling
from edgebench.schema.record import Score

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.networks.scoring import ImageAnswers, OutputsOfFile, ScoreChoice

TARGETS = "masks"


def asked(network: OutputsOfFile, test: AnnotatedImages, choice: ScoreChoice) -> KeptAnswers:
    for place, one in enumerate(network.outputs):
        shape = sizes(one)
        if len(shape) not in (3, 4):
            continue
        axis = None if len(shape) == 3 else 1 if _is_first(shape) else 3
        classes = 2 if axis is None else max(shape[axis], 2)
        if axis is not None and test.class_names and shape[axis] not in (-1, 1, len(test.class_names)):
            raise UserError(
                network.name, f"it has {shape[axis]} classes, the masks have {len(test.class_names)}",
                "Give the data that it was trained for, or correct classes.txt",
            )  # fmt: skip
        rest = [size for place, size in enumerate(shape[1:], 1) if place != axis]
        reduction = {"kind": "map", "output": place, "axis": axis, "classes": classes if axis else 65536}
        pixels = max(1, rest[0]) * max(1, rest[1])
        how = "a map of classes" if axis is None else f"the largest of {classes} classes at each pixel"
        return KeptAnswers(reduction, how, 2 * pixels)
    raise UserError(network.name, f"none of its outputs is a map ({network.shown()})", "Try --metric")


def scores(answers: Sequence[ImageAnswers], test: AnnotatedImages, asked: KeptAnswers) -> tuple[Score, ...]:
    import numpy as np

    maps = [one[0] for one in answers]
    masks = [_mask(file, size, test) for file, size in zip(test.targets, test.sizes, strict=True)]
    classes = 1 + max(max(int(one.max(initial=0)) for one in maps), max(map(_largest, masks)))
    if len(test.class_names) and max(map(_largest, masks)) >= len(test.class_names):
        raise BadFile(test.name, f"a mask has the class {max(map(_largest, masks))}, which has no name", "Name it")
    inside, either, pixels = np.zeros((len(maps), classes)), np.zeros((len(maps), classes)), np.zeros((len(maps), 2))
    for place, (found, mask) in enumerate(zip(maps, masks, strict=True)):
        found = _stretched(found, mask.shape)
        counted = mask != pictures.NO_CLASS
        own, truth = found[counted].astype(np.int64), mask[counted].astype(np.int64)
        right = np.bincount(truth[own == truth], minlength=classes)
        inside[place] = right
        either[place] = np.bincount(own, minlength=classes) + np.bincount(truth, minlength=classes) - right
        pixels[place] = right.sum(), len(truth)
    whole, samples = np.ones((1, len(maps))), _resampling.weights(len(maps))
    iou = [_mean_iou(rows, inside, either) for rows in (whole, samples)]
    shares = [_share(rows, pixels) for rows in (whole, samples)]
    return Score("mIoU", iou[0][0], resampled=iou[1]), Score("pixels", shares[0][0], resampled=shares[1])


def _is_first(shape: tuple[int, ...]) -> bool:
    """Whether classes are the first axis after the batch: they are fewer than rows and columns."""
    return shape[1] > 0 and (shape[3] < 0 or shape[1] <= shape[3])


def _mask(file: str, size: tuple[int, int], test: AnnotatedImages) -> Any:
    """uint8 [height, width] of the network's input."""
    import numpy as np
    from PIL import Image

    with Image.open(file, formats=("PNG",)) as image:
        if image.mode not in ("L", "P", "1", "I", "I;16"):
            raise BadFile(file, f"a mask has one channel, this one is {image.mode}", "Write classes as grey values")
        if image.size != size:
            seen = f"it has {image.width}x{image.height} pixels, its image {size[0]}x{size[1]}"
            raise BadFile(file, seen, "Give a mask of the same size")
        classes = Image.fromarray(np.asarray(image).astype(np.uint8))
    return np.asarray(pictures.sized(classes, test.geometry, mask=True))


def _largest(mask: Any) -> int:
    return int(mask[mask != pictures.NO_CLASS].max(initial=0))


def _stretched(found: Any, shape: tuple[int, int]) -> Any:
    """Nearest neighbour, pixel centres at half numbers."""
    import numpy as np

    if found.shape == shape:
        return found
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(shape, found.shape, strict=True)
    )
    return found[rows[:, None], columns]


def _mean_iou(weights: Any, inside: Any, either: Any) -> tuple[float, ...]:
    import numpy as np

    covered, all_ = weights @ inside, weights @ either
    shares = np.divide(covered, all_, out=np.full(covered.shape, np.nan), where=all_ > 0)
    return tuple(float(one) for one in np.nan_to_num(np.nanmean(shares, 1)))


def _share(weights: Any, pixels: Any) -> tuple[float, ...]:
    import numpy as np

    right, every = (weights @ pixels).T
    return tuple(float(one) for one in right / np.maximum(every, 1))
