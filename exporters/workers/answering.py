"""Let an artifact answer to all images of a file: one by one, as on a device, or in batches where that is the same.

Runtimes choose their kernels by shapes, not by values: whether an image is answered to as if it were alone depends on
its place in the batch, not on what it shows. So one batch is asked both ways, and that sees every place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from edgebench.schema.tensors import each_batch, from_stored, one_by_one

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array
    from exporters import Exporter, Opened

BATCH = 32
# Numbers of an image. Larger ones gain nothing: at 224 x 224, in batches of 5 and of 16, they took 0.9 to 1.2 times as
# long.
LARGEST_IMAGE = 3 * 96 * 96
# Fewer are answered before a copy for batches is made.
LEAST_BATCHES = 8


class Run(msgspec.Struct, frozen=True):
    """Load `artifact` and let it answer.

    images: .npy, uint8 [N, H, W, C] with preprocessing, or float32 [N, C, H, W] without; without any, the artifact is
    only loaded. answers: .npy to write, float32 [N, classes]. folded: it takes the images as they are. any_batch: it
    has to answer to several at once as it does to one after the other. itself: indices of images that it answers alone
    in any case. one_by_one: all of them so.
    """

    artifact: str
    images: str = ""
    preprocessing: Preprocessing | None = None
    answers: str = ""
    folded: bool = False
    any_batch: bool = False
    itself: tuple[int, ...] = ()
    one_by_one: bool = False


def answers(exporter: Exporter, opened: Opened, spec: TensorSpec, task: Run) -> Float32Array:
    """float32 [N, classes]. spec: of its input, as it is to be fed."""
    import numpy as np

    batches = partial(each_batch, Path(task.images), task.preprocessing, spec, BATCH)
    if not task.one_by_one and _are_worth_a_copy(Path(task.images), spec):
        copy = Path(f"{task.answers}.batches{exporter.SUFFIX}")
        try:
            opened_copy = exporter.open_for_batches(Path(task.artifact), copy)
            found = None if opened_copy is None else _in_batches(opened, opened_copy, batches(), task.itself)
        except Exception:  # each runtime has its own for a network that is made for one image
            found = None
        copy.unlink(missing_ok=True)
        if found is not None:
            return found
    return np.concatenate([alone(opened, batch) for batch in batches()])


def alone(opened: Opened, images: Any) -> Float32Array:
    """[n, ...] -> float32 [n, classes], one after the other."""
    import numpy as np

    return np.concatenate([from_stored(opened.run(image), opened.outputs[0]) for image in one_by_one(images)])


def _are_worth_a_copy(images: Path, spec: TensorSpec) -> bool:
    import numpy as np

    enough = len(np.load(images, mmap_mode="r", allow_pickle=False)) >= LEAST_BATCHES * BATCH
    return enough and math.prod(spec.shape[1:]) <= LARGEST_IMAGE


def _in_batches(opened: Opened, copy: Opened, batches: Iterator[Any], itself: tuple[int, ...]) -> Float32Array | None:
    """None if the copy answers otherwise than the artifact, to the first batch or to those images that it has to answer
    itself.
    """
    import numpy as np

    run_many = copy.run_many
    assert run_many is not None
    first = next(batches)

    def together(batch: Any) -> Float32Array:
        """The last batch is filled up: one of another size is computed in another way."""
        full = np.concatenate([batch, first[len(batch) :]])
        return from_stored(run_many(full), copy.outputs[0])[: len(batch)]

    found = [alone(opened, first)]
    if not np.array_equal(together(first), found[0]):
        return None
    for batch in batches:
        start = len(first) * len(found)
        some = together(batch)
        for place in (index - start for index in itself if 0 <= index - start < len(batch)):
            if not np.array_equal(some[place : place + 1], alone(opened, batch[place : place + 1])):
                return None
        found.append(some)
    return np.concatenate(found)
