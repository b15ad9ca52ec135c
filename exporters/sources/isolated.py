"""What an isolated network is and what it answers, whichever kind it is; in a worker process.

Each kind is a module: `look` says what a network is, `network` gives a function that answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.networks.lazy_images import pieces
from edgebench.schema import tensors
from edgebench.schema.preprocessing import Preprocessing
from exporters import IsolatedModel
from exporters.arithmetic import image_files
from exporters.sources import keras, modules
from exporters.sources.model_summary import ModelSummary

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

BATCH = 100
# Images that a network is run on a second time, to see whether it is deterministic.
ASKED_TWICE = 8


class IsolatedRun(msgspec.Struct, frozen=True):
    """images: see `image_files`, uint8 [N, H, W, C] with preprocessing, float32 [N, C, H, W] without; answers: .npy."""

    isolated: IsolatedModel
    images: str
    preprocessing: Preprocessing | None
    answers: str


def look(isolated: IsolatedModel) -> ModelSummary:
    return keras.look(isolated) if isolated.kind == "keras" else modules.look(isolated)


def run(task: IsolatedRun) -> float:
    """Write the answers; returns the relative difference between two runs over the first images."""
    import numpy as np

    network = _network(task.isolated)
    images = image_files.read(Path(task.images))

    def answers(some: Any) -> Float32Array:
        return network(task.preprocessing.apply(some) if task.preprocessing else np.array(some))

    first = np.concatenate([answers(some) for some in pieces(images, BATCH)])
    np.save(task.answers, first, allow_pickle=False)
    return tensors.repeat_error(answers(images[:ASKED_TWICE]), first[:ASKED_TWICE])


@cache
def _network(isolated: IsolatedModel) -> Callable[[Float32Array], Float32Array]:
    return keras.network(isolated) if isolated.kind == "keras" else modules.network(isolated)
