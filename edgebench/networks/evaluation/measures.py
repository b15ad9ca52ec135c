"""Pure functions from a network's answers to measures.

logits, probabilities: float64 [N, classes]; labels, answers: int64 [N].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BINS = 15


def log_probabilities(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result


def negative_log_likelihood(logs: Array, labels: Array) -> float:
    """Mean over images, nats. logs: logarithms of the probabilities."""
    return float(-logs[np.arange(len(labels)), labels].mean())


def brier(probabilities: Array, labels: Array) -> float:
    """Brier 1950: squared distance to the truth, summed over classes, mean over images; 0..2."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(labels)), labels] = 1
    return float(((probabilities - truth) ** 2).sum(1).mean())


def in_top(logits: Array, labels: Array, k: int) -> int:
    """How many images have their class among the k largest; a class ranks after those that tie with it."""
    own = logits[np.arange(len(labels)), labels]
    return int(((logits >= own[:, None]).sum(1) <= k).sum())


def confusion(labels: Array, answers: Array, classes: int) -> Array:
    """Images by [class, answer]."""
    return np.bincount(labels * classes + answers, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class PerClass:
    """Float [classes] each. 0 if the class was never predicted, or has no images."""

    recall: Array
    precision: Array
    f1: Array


def per_class(counts: Array) -> PerClass:
    """From a confusion matrix."""
    right = np.diag(counts)
    of_class, answered = counts.sum(1), counts.sum(0)
    return PerClass(_share(right, of_class), _share(right, answered), _share(2 * right, of_class + answered))


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def reliability(confidence: Array, right: Array, bins: int = BINS) -> tuple[Array, Array, Array]:
    """(count, mean confidence, accuracy) for each of `bins` intervals (low, high] of 0..1; zeros where one is empty."""
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    return (
        count,
        _share(np.bincount(number, weights=confidence, minlength=bins), count),
        _share(np.bincount(number, weights=right, minlength=bins), count),
    )


def calibration_error(count: Array, confidence: Array, accuracy: Array) -> float:
    """Expected calibration error: gap between confidence and accuracy, weighted by images (arXiv:1706.04599)."""
    return float((count * np.abs(accuracy - confidence)).sum() / count.sum())
