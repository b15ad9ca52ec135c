"""Run an artifact over all images of a file: one by one, as on a device, or in batches where the answers are the same.

Runtimes choose their kernels by shapes, not by values: whether an image in a batch gets the same answer as alone
depends on its place in the batch, not on what it shows. So one batch is run both ways, and that checks every place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.tensors import from_stored, one_by_one
from exporters.arithmetic import image_files
from exporters.arithmetic.image_files import each_batch

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array
    from exporters import Exporter, OpenedArtifact
    from exporters.workers.messages import RunTask

BATCH = 32
# Numbers in an image. Larger images gain nothing from batches: at 224 x 224, batches of 5 and of 16 took 0.9 to 1.2
# times as long.
LARGEST_IMAGE = 3 * 96 * 96
# For fewer images a copy for batches is not worth making.
LEAST_BATCHES = 8


def answers(exporter: Exporter, opened: OpenedArtifact, spec: TensorSpec, task: RunTask) -> Float32Array:
    """float32 [N, classes]. spec: of its input, as it is to be fed."""
    import numpy as np

    batches = partial(each_batch, Path(task.images), task.preprocessing, spec, BATCH)
    if not task.one_by_one and _are_worth_a_copy(Path(task.images), spec):
        copy = Path(f"{task.answers}.batches{exporter.SUFFIX}")
        try:
            opened_copy = exporter.open_for_batches(Path(task.artifact), copy)
            found = None if opened_copy is None else _in_batches(opened, opened_copy, batches(), task.itself)
        except Exception:  # each runtime raises its own for a network that only takes one image
            found = None
        copy.unlink(missing_ok=True)
        if found is not None:
            return found
    return np.concatenate([alone(opened, batch) for batch in batches()])


def alone(opened: OpenedArtifact, images: Any) -> Float32Array:
    """[n, ...] -> float32 [n, classes], one image after the other."""
    import numpy as np

    return np.concatenate([from_stored(opened.run(image), opened.outputs[0]) for image in one_by_one(images)])


def _are_worth_a_copy(images: Path, spec: TensorSpec) -> bool:
    enough = len(image_files.read(images)) >= LEAST_BATCHES * BATCH
    return enough and math.prod(spec.shape[1:]) <= LARGEST_IMAGE


def _in_batches(
    opened: OpenedArtifact, copy: OpenedArtifact, batches: Iterator[Any], itself: tuple[int, ...]
) -> Float32Array | None:
    """None if the copy answers differently from the artifact, on the first batch or on the images in `itself`."""
    import numpy as np

    run_many = copy.run_many
    assert run_many is not None
    first = next(batches)

    def together(batch: Any) -> Float32Array:
        """The last batch is filled up: a batch of another size is computed in another way."""
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
