"""Preprocessing as part of the file: the factor and the summand for raw uint8 images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

INPUT = "image"
AS_OPERATORS = "in the file, as its first operators; the input is the image's bytes, 0 to 255"
AS_QUANTISATION = "in the file, as the quantisation of its input, which is the image's bytes, 0 to 255"


def coefficients(preprocessing: Preprocessing, spec: TensorSpec) -> tuple[Float32Array, Float32Array]:
    """(scale, shift): input = byte * scale + shift. They broadcast over an input of this layout; float32."""
    import numpy as np

    mean, std = (np.asarray(numbers, np.float64) for numbers in (preprocessing.mean, preprocessing.std))
    scale, shift = 1 / (255 * std), -mean / std
    shapes = {"NCHW": (1, -1, 1, 1), "NHWC": (1, 1, 1, -1), "NC": (1, -1)}
    if spec.layout == "NC":  # channel after channel
        scale, shift = (np.repeat(numbers, spec.shape[1] // len(mean)) for numbers in (scale, shift))
    shape = shapes[spec.layout]
    return scale.astype(np.float32).reshape(shape), shift.astype(np.float32).reshape(shape)
