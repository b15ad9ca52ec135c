"""From preprocessed images to an artifact's inputs, from its outputs back to float32, and errors between outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.schema.bundle import TensorSpec

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array

# For identical answers, which have no noise: JSON has no infinity.
SQNR_CEILING_DB = 300.0


def to_layout(images: Float32Array, spec: TensorSpec) -> Float32Array:
    """float32 [N, C, H, W] -> float32 [N, ...] as `spec` wants it laid out, contiguous; [N, features] stays so."""
    import numpy as np

    given = "x".join(map(str, images.shape[1:]))
    if spec.layout == "NHWC":
        images = images.transpose(0, 2, 3, 1)
    elif spec.layout == "NC" and images.shape[1:] != spec.shape[1:]:
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
    return quantised(to_layout(images, spec), spec)


def is_batched(spec: TensorSpec) -> bool:
    """Whether its first axis counts samples (it has size 1)."""
    return bool(spec.shape) and spec.shape[0] == 1


def sample(values: Any, spec: TensorSpec, place: int) -> Any:
    """One of several samples, in the shape of `spec`. values: [n, ...], without a second axis for the batch of 1."""
    return values[place : place + 1] if is_batched(spec) else values[place, ...]


def without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """The sizes that matter: runtimes without a batch have axes of size 1 elsewhere."""
    return tuple(size for size in shape if size != 1)


def placed(values: Any, given: TensorSpec, spec: TensorSpec) -> Any:
    """Samples of a network's input -> as an artifact takes them: its layout and dtype, quantised if it takes integers.

    values: [n, ...], as in `sample`; given: the network's input. Raises UserError if the shapes do not fit.
    """
    if given.layout == "NCHW" and spec.layout == "NHWC":
        values = values.transpose(0, 2, 3, 1)
    shape = spec.shape[1:] if is_batched(spec) else spec.shape
    if without_ones(values.shape[1:]) == without_ones(shape):
        values = values.reshape(len(values), *shape)
    if values.shape[1:] != shape:
        raise UserError(
            f"input '{spec.name}'",
            f"it takes {'x'.join(map(str, shape))}, but the samples are {'x'.join(map(str, values.shape[1:]))}",
            "Report the network to the authors of edgebench",
        )
    return quantised(values, spec)


def quantised(values: Any, spec: TensorSpec) -> Any:
    """In the artifact's own dtype; without a scale one is a step, as for images of bytes."""
    import numpy as np

    is_whole = spec.scale is None and values.dtype.kind in "biu"
    if is_whole or np.dtype(spec.dtype).kind not in "iu":
        return np.ascontiguousarray(values, spec.dtype)
    limits = np.iinfo(spec.dtype)
    steps = np.round(values / np.float32(spec.scale or 1.0)) + (spec.zero_point or 0)
    return np.clip(steps, limits.min, limits.max).astype(spec.dtype)


def from_stored(answers: Any, spec: TensorSpec) -> Any:
    """The artifact's answers -> float32, or int64 for whole numbers."""
    import numpy as np

    if spec.is_whole:
        return answers.astype(np.int64)
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


def has_classes(spec: TensorSpec) -> bool:
    """Whether the largest number along the last axis of an output may name a class: [1, classes]."""
    return not spec.is_whole and len(spec.shape) == 2 and spec.shape[0] == 1 and spec.shape[1] > 1


def cosine(answers: Float32Array, reference: Float32Array) -> float:
    """Of the angle between all answers and those of the reference; 1 if both are zero."""
    import numpy as np

    left, right = answers.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    lengths = float(np.sqrt(left @ left) * np.sqrt(right @ right))
    if not lengths:
        return float(not left.any() and not right.any())
    return float(left @ right) / lengths


def unequal(answers: Int64Array, reference: Int64Array) -> float:
    """Share of whole numbers that differ."""
    return float((answers != reference).mean())


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
