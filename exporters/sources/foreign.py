"""Networks that only a worker process may open, because that runs their code or imports TensorFlow."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgebench.schema.preprocessing import Preprocessing

# Images that a network is shown a second time, to see whether it answers the same.
ASKED_TWICE = 8


class Foreign(msgspec.Struct, frozen=True):
    """kind: "module": source is `package.module:callable`; "keras": the path of a file or SavedModel folder.

    folder: on the import path while a module is imported. weights: its state dict, "" for those it comes with;
    weights_key: which one of several in that file.
    input_shape: (channels, height, width), () if not known. held: where `look` puts the weights that all later
    processes use: a callable may draw new ones each time.
    """

    kind: Literal["module", "keras"]
    source: str
    folder: str = ""
    weights: str = ""
    input_shape: tuple[int, ...] = ()
    held: str = ""
    weights_key: str = ""

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
