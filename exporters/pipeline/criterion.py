"""What INT8 files of one network are compared by: how often they agree with it, or how far their answers are off.

Agreement says nothing on images that trained the network: it is so sure of them that every file names the same class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from edgebench.schema import tensors as parity

if TYPE_CHECKING:
    from exporters.pipeline.evidence import Samples
    from exporters.sources.parent import Parent

# Of the test whether a network is right on more of the validation images than chance explains, one-sided.
LEVEL = 0.001


@dataclass(frozen=True)
class Criterion:
    """why: for the notes, what it is and why this one."""

    kind: Literal["agreement", "divergence"]
    why: str


AGREEMENT = Criterion("agreement", "how often they name the parent's class; the parent was not trained on these images")
DIVERGENCE = "divergence of their classes' probabilities from the parent's (Kullback-Leibler, nats)"


def criterion(parent: Parent, dataset: str, selection: Samples) -> Criterion:
    """selection: the validation split with the parent's answers. They are held against the test accuracy that training
    noted in the checkpoint, not against the test images: those must not decide which file is chosen.
    """
    if parent.kind != "checkpoint":
        return Criterion(
            "divergence", f"{DIVERGENCE}; nobody knows whether the images of {dataset} that are shown trained it"
        )
    if parent.source.get("dataset") != dataset or parent.tested is None:
        return Criterion(
            "divergence", f"{DIVERGENCE}; it was trained on {parent.source.get('dataset')}, which may hold these images"
        )
    assert selection.labels is not None
    right, tested = parity.accuracy(selection.reference, selection.labels), parent.tested
    if not is_more(right, tested.accuracy, len(selection.labels), tested.test_images):
        return AGREEMENT
    return Criterion(
        "divergence",
        f"{DIVERGENCE}; the parent is right on {right:.2%} of these images and on {tested.accuracy:.2%} of the test "
        f"images, more than chance explains (p < {LEVEL:g}): they seem to have trained it",
    )


def is_more(first: float, second: float, first_count: int, second_count: int) -> bool:
    """Whether the first of two observed shares is larger than the second by more than chance explains (pooled z)."""
    pooled = (first * first_count + second * second_count) / (first_count + second_count)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / first_count + 1 / second_count))
    return first - second > NormalDist().inv_cdf(1 - LEVEL) * spread
