"""A checkpoint of a few hundred bytes of weights."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgebench.networks import models
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint, Metadata, Metrics
from edgebench.schema.history import Size
from edgebench.schema.preprocessing import Preprocessing

SHAPE = (1, 8, 8)


def tiny_metadata(**changes: object) -> Metadata:
    about = Metadata(
        model="ultralight",
        dataset="fashion-mnist-mini",
        input_shape=SHAPE,
        class_names=("a", "b", "c"),
        preprocessing=Preprocessing(mean=(0.25,), std=(0.5,)),
        size=Size(parameters=1, macs=1, weights_bytes=4),
        metrics=Metrics(accuracy=0.5, loss=1.0, test_images=10),
        arguments={"widths": [2, 3, 4]},
    )
    return msgspec.structs.replace(about, **changes)


def make(folder: Path) -> Checkpoint:
    import torch

    torch.manual_seed(0)
    model = models.build("ultralight", SHAPE, 3, widths=(2, 3, 4))
    return checkpoint.save(model, tiny_metadata(), folder / "tiny.safetensors")
