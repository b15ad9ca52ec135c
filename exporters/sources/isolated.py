"""What an isolated network is and what it answers, whichever kind it is; in a worker process.

Each kind is a module: `look` says what a network is, `network` gives a function that answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from edgebench.schema import tensors
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import IsolatedModel
from exporters.arithmetic import feeds
from exporters.sources import keras, modules
from exporters.sources.model_summary import ModelSummary

BATCH = 100
# Images that a network is run on a second time, to see whether it is deterministic.
ASKED_TWICE = 8


class IsolatedRun(msgspec.Struct, frozen=True):
    """images: a file of `feeds`; answers: .npz to write, as of a `RunTask`."""

    isolated: IsolatedModel
    images: str
    preprocessing: Preprocessing | None
    answers: str


def look(isolated: IsolatedModel) -> ModelSummary:
    return keras.look(isolated) if isolated.kind == "keras" else modules.look(isolated)


def run(task: IsolatedRun) -> float:
    """Write the answers; returns the relative difference between two runs over the first images."""
    network, inputs = _network(task.isolated), task.isolated.inputs
    file = Path(task.images)

    def answers(size: int) -> Iterator[list[Any]]:
        for batch in feeds.each_batch(file, task.preprocessing, inputs, inputs, size):
            yield _answered(network, batch, inputs, together=file.suffix != feeds.ARRAYS)

    first = _joined(answers(BATCH))
    feeds.write(Path(task.answers), first)
    pairs = zip(next(answers(ASKED_TWICE)), first, strict=True)
    return max(tensors.repeat_error(again, one[:ASKED_TWICE]) for again, one in pairs)


def _answered(
    network: Callable[[Sequence[Any]], list[Any]], batch: Sequence[Any], inputs: Sequence[TensorSpec], *, together: bool
) -> list[Any]:
    """For each output [n, ...]. together: all at once, if the network takes that."""
    import numpy as np

    if together:
        with contextlib.suppress(Exception):  # the user's code may raise anything: it may be for one sample at a time
            found = network(batch)
            if all(one.ndim and len(one) == len(batch[0]) for one in found):
                return [_plain(one) for one in found]
    singly = [network(one) for one in feeds.one_by_one([np.ascontiguousarray(some) for some in batch], inputs)]
    specs = [TensorSpec(f"output {place}", (), one.dtype.name, "any") for place, one in enumerate(singly[0], 1)]
    return feeds.joined(singly, specs)


def _plain(values: Any) -> Any:
    return values.astype("float32" if values.dtype.kind == "f" else "int64", copy=False)


def _joined(parts: Iterable[list[Any]]) -> list[Any]:
    import numpy as np

    return [np.concatenate(some) for some in zip(*parts, strict=True)]


@cache
def _network(isolated: IsolatedModel) -> Callable[[Sequence[Any]], list[Any]]:
    return keras.network(isolated) if isolated.kind == "keras" else modules.network(isolated)
