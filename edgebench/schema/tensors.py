"""From preprocessed images to an artifact's inputs, from its outputs back to float32, and errors between outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.schema.bundle import TensorSpec

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array

# For identical answers, which have no noise: JSON has no infinity.
SQNR_CEILING_DB = 300.0


def one_by_one(images: Any) -> Iterator[Any]:
    """[n, ...] -> n times [1, ...]."""
    for position in range(len(images)):
        yield images[position : position + 1]


def to_layout(images: Float32Array, spec: TensorSpec) -> Float32Array:
    """float32 [N, C, H, W] -> float32 [N, ...] as `spec` wants it laid out, contiguous; [N, features] stays so."""
    import numpy as np

    given = "x".join(map(str, images.shape[1:]))
    if spec.layout == "NHWC":
        images = images.transpose(0, 2, 3, 1)
    elif spec.layout == "NC":
        images = images.reshape(len(images), -1)
    if images.shape[1:] != spec.shape[1:]:
        raise UserError(
            f"input '{spec.name}'",
            f"it takes {'x'.join(map(str, spec.shape[1:]))} ({spec.layout}), but the images are {given} (NCHW)",
            "Use a data set of the network's input size",
        )
    return np.ascontiguousarray(images)


def to_stored(images: Float32Array, spec: TensorSpec) -> Any:
    """float32 [N, C, H, W] -> the artifact's own dtype and layout, quantised if it takes integers."""
    import numpy as np

    values = to_layout(images, spec)
    if np.dtype(spec.dtype).kind not in "iu":
        return values.astype(spec.dtype, copy=False)
    limits = np.iinfo(spec.dtype)
    steps = np.round(values / np.float32(spec.scale or 1.0)) + (spec.zero_point or 0)
    return np.clip(steps, limits.min, limits.max).astype(spec.dtype)


def from_stored(answers: Any, spec: TensorSpec) -> Float32Array:
    """The artifact's answers -> float32."""
    import numpy as np

    values: Float32Array = answers.astype(np.float32)
    if spec.scale is not None and spec.zero_point is not None:
        values = (values - np.float32(spec.zero_point)) * np.float32(spec.scale)
    return values


def agreement(answers: Float32Array, reference: Float32Array) -> float:
    """Share of the images for which both name the same class."""
    return float((answers.argmax(1) == reference.argmax(1)).mean())


def accuracy(answers: Float32Array, labels: Int64Array) -> float:
    return float((answers.argmax(1) == labels).mean())


def divergence(answers: Float32Array, reference: Float32Array) -> float:
    """Mean Kullback-Leibler divergence of the classes' probabilities from those of the reference, in nats.

    Finer than counting images, and unlike a difference of logits not dominated by a few large ones.
    """
    import numpy as np

    def logs(values: Float32Array) -> Float32Array:
        shifted = values.astype(np.float64) - values.max(1, keepdims=True)
        result: Float32Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return result

    wanted = logs(reference)
    return float((np.exp(wanted) * (wanted - logs(answers))).sum(1).mean())


def relative_error(answers: Float32Array, reference: Float32Array) -> float:
    """rms(answers - reference) / rms(reference)."""
    import numpy as np

    wide = reference.astype(np.float64)
    return float(np.sqrt(np.square(answers - wide).mean() / max(np.square(wide).mean(), 1e-300)))


def repeat_error(again: Float32Array, first: Float32Array) -> float:
    """Relative difference between two runs, for answers that are finite in both.

    Callers refuse answers that are not finite.
    """
    import numpy as np

    known = np.isfinite(again) & np.isfinite(first)
    return relative_error(again[known], first[known]) if known.any() else 0.0


def sqnr_db(answers: Float32Array, reference: Float32Array) -> float:
    """Power of the reference over power of the difference, in decibels; informative only, outliers dominate it."""
    import numpy as np

    error = relative_error(answers, reference)
    return SQNR_CEILING_DB if error == 0 else min(SQNR_CEILING_DB, float(-20 * np.log10(error)))
