"""Networks of the studies with random weights, for what does not depend on weights: speed, sizes, instructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgebench.networks import models
from edgebench.networks.models import InputShape
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Metadata
from edgebench.schema.history import Metrics
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, Scheme

CLASSES = tuple("abcdefghij")
CALIBRATION_IMAGES = 4
PLAIN = Scheme("minmax")


def job(name: str, shape: InputShape, folder: Path) -> ConversionJob:
    """What a converter needs to make float32 and plain INT8 files of it."""
    preprocessing = Preprocessing((0.5,) * shape[0], (0.25,) * shape[0])
    return ConversionJob(
        source=str(_random_checkpoint(name, shape, preprocessing, folder)),
        kind="checkpoint",
        precisions=("fp32", "int8"),
        folder=str(folder),
        calibration=str(_random_images(shape, folder)),
        preprocessing=preprocessing,
        schemes=(PLAIN,),
    )


def _random_checkpoint(name: str, shape: InputShape, preprocessing: Preprocessing, folder: Path) -> Path:
    import torch

    torch.manual_seed(0)
    network = models.build(name, shape, len(CLASSES)).eval()
    about = Metadata(
        model=name,
        dataset="random",
        input_shape=shape,
        class_names=CLASSES,
        preprocessing=preprocessing,
        size=models.count(network, shape),
        metrics=Metrics(0, 0, 0),
    )
    return checkpoint.save(network, about, folder / f"{name}.safetensors").path


def _random_images(shape: InputShape, folder: Path) -> Path:
    path = folder / "calibration.npy"
    channels, height, width = shape
    np.save(path, np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, height, width, channels), np.uint8))
    return path
