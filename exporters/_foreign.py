"""Networks that only a worker process may open, because that runs their code or imports TensorFlow.

Two kinds, each in a module of its own: `look` says what a network is, `network` gives a function that answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edgebench.data import Preprocessing
from exporters._facts import Facts

if TYPE_CHECKING:
    from edgebench.data import Float32Array

# Images that a network is shown a second time, to see whether it answers the same.
ASKED_TWICE = 8
BATCH = 100


class Foreign(msgspec.Struct, frozen=True):
    """kind: "module": source is `package.module:callable`; "keras": the path of a file or SavedModel folder.

    folder: on the import path while a module is imported. weights: its state dict, "" for those it comes with.
    input_shape: (channels, height, width), () if not known. held: where `look` puts the weights that all later
    processes use: a callable may draw new ones each time.
    """

    kind: Literal["module", "keras"]
    source: str
    folder: str = ""
    weights: str = ""
    input_shape: tuple[int, ...] = ()
    held: str = ""

    @property
    def plugin(self) -> str:
        """The exporter whose libraries it needs, and whose log its errors are in."""
        return "tflite-keras" if self.kind == "keras" else "torch"


class ForeignRun(msgspec.Struct, frozen=True):
    """images: .npy, uint8 [N, H, W, C] with preprocessing, float32 [N, C, H, W] without; answers: .npy to write."""

    foreign: Foreign
    images: str
    preprocessing: Preprocessing | None
    answers: str


def look(foreign: Foreign) -> Facts:
    from exporters import _keras, _modules

    return _keras.look(foreign) if foreign.kind == "keras" else _modules.look(foreign)


def run(task: ForeignRun) -> float:
    """How far the answers to the first images were off, relative, when they came a second time."""
    import numpy as np

    from exporters import _parity

    network = _network(task.foreign)
    images = np.load(task.images, mmap_mode="r", allow_pickle=False)

    def answers(some: Any) -> Float32Array:
        return network(task.preprocessing.apply(some) if task.preprocessing else np.array(some))

    first = np.concatenate([answers(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    np.save(task.answers, first, allow_pickle=False)
    return _parity.repeat_error(answers(images[:ASKED_TWICE]), first[:ASKED_TWICE])


@cache
def _network(foreign: Foreign) -> Callable[[Float32Array], Float32Array]:
    from exporters import _keras, _modules

    return _keras.network(foreign) if foreign.kind == "keras" else _modules.network(foreign)
