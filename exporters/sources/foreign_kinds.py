"""What a foreign network is and answers, whichever kind it is of; in a worker process.

Each kind is a module: `look` says what a network is, `network` gives a function that answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from edgebench.schema import tensors
from exporters.sources import keras, modules
from exporters.sources.facts import Facts
from exporters.sources.foreign import ASKED_TWICE, Foreign, ForeignRun

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

BATCH = 100


def look(foreign: Foreign) -> Facts:
    return keras.look(foreign) if foreign.kind == "keras" else modules.look(foreign)


def run(task: ForeignRun) -> float:
    """How far the answers to the first images were off, relative, when they came a second time."""
    import numpy as np

    network = _network(task.foreign)
    images = np.load(task.images, mmap_mode="r", allow_pickle=False)

    def answers(some: Any) -> Float32Array:
        return network(task.preprocessing.apply(some) if task.preprocessing else np.array(some))

    first = np.concatenate([answers(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    np.save(task.answers, first, allow_pickle=False)
    return tensors.repeat_error(answers(images[:ASKED_TWICE]), first[:ASKED_TWICE])


@cache
def _network(foreign: Foreign) -> Callable[[Float32Array], Float32Array]:
    return keras.network(foreign) if foreign.kind == "keras" else modules.network(foreign)
