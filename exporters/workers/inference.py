"""Run an artifact over all samples of a file: one by one, as on a device, or in batches where the answers are the same.

Runtimes choose their kernels by shapes, not by values: whether a sample in a batch gets the same answer as alone
depends on its place in the batch, not on what it shows. So one batch is run both ways, and that checks every place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.tensors import from_stored, is_batched
from exporters.arithmetic import feeds

if TYPE_CHECKING:
    from exporters import Exporter, OpenedArtifact
    from exporters.workers.messages import RunTask

BATCH = 32
# Numbers in an image. Larger images gain nothing from batches: at 224 x 224, batches of 5 and of 16 took 0.9 to 1.2
# times as long.
LARGEST_IMAGE = 3 * 96 * 96
# For fewer images a copy for batches is not worth making.
LEAST_BATCHES = 8


def answers(exporter: Exporter, opened: OpenedArtifact, inputs: Sequence[TensorSpec], task: RunTask) -> list[Any]:
    """For each output [N, ...]. inputs: the artifact's, as they are to be fed."""
    batches = partial(feeds.each_batch, Path(task.images), task.preprocessing, task.network, inputs, BATCH)
    if not task.one_by_one and _are_worth_a_copy(Path(task.images), inputs, opened.outputs):
        copy = Path(f"{task.answers}.batches{exporter.SUFFIX}")
        try:
            opened_copy = exporter.open_for_batches(Path(task.artifact), copy)
            found = None if opened_copy is None else _in_batches(opened, opened_copy, inputs, batches(), task.itself)
        except Exception:  # each runtime raises its own for a network that only takes one image
            found = None
        copy.unlink(missing_ok=True)
        if found is not None:
            return found
    singly = [answer for batch in batches() for answer in _each(opened, batch, inputs)]
    return feeds.joined(singly, opened.outputs)


def alone(opened: OpenedArtifact, batch: Sequence[Any], inputs: Sequence[TensorSpec]) -> list[Any]:
    """Stored samples -> for each output [n, ...], one sample after the other."""
    return feeds.joined(list(_each(opened, batch, inputs)), opened.outputs)


def _each(opened: OpenedArtifact, batch: Sequence[Any], inputs: Sequence[TensorSpec]) -> Iterator[list[Any]]:
    for one in feeds.one_by_one(batch, inputs):
        yield [answer.copy() for answer in opened.run(one)]  # some runtimes give a view of what the next run writes


def _are_worth_a_copy(samples: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    enough = feeds.count(samples) >= LEAST_BATCHES * BATCH
    numbers = sum(math.prod(spec.shape[1:]) for spec in inputs)
    return enough and numbers <= LARGEST_IMAGE and all(map(is_batched, (*inputs, *outputs)))


def _in_batches(
    opened: OpenedArtifact,
    copy: OpenedArtifact,
    inputs: Sequence[TensorSpec],
    batches: Iterator[tuple[Any, ...]],
    itself: tuple[int, ...],
) -> list[Any] | None:
    """None if the copy answers differently from the artifact, on the first batch or on the samples in `itself`."""
    import numpy as np

    run_many = copy.run_many
    assert run_many is not None
    first = next(batches)
    size = len(first[0])

    def together(batch: Sequence[Any]) -> list[Any]:
        """The last batch is filled up: a batch of another size is computed in another way."""
        count = len(batch[0])
        full = [np.concatenate([some, start[count:]]) for some, start in zip(batch, first, strict=True)]
        given = run_many(full)
        return [from_stored(one, spec)[:count] for one, spec in zip(given, copy.outputs, strict=True)]

    found = [alone(opened, first, inputs)]
    if not _are_equal(together(first), found[0]):
        return None
    for batch in batches:
        start = size * len(found)
        some = together(batch)
        for place in (index - start for index in itself if 0 <= index - start < len(batch[0])):
            part = slice(place, place + 1)
            if not _are_equal(feeds.some(some, part), alone(opened, feeds.some(batch, part), inputs)):
                return None
        found.append(some)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _are_equal(left: Sequence[Any], right: Sequence[Any]) -> bool:
    import numpy as np

    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
