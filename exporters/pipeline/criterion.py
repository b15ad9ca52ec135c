"""How INT8 files of one network are compared: by agreement with the parent, or by how far they are from it.

Agreement says nothing on images that trained the network: it is so sure of them that every file names the same class.
Without labels nobody knows what an answer means, and all numbers of all outputs count alike (`answers.distance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from edgebench.schema import tensors

if TYPE_CHECKING:
    from exporters.pipeline.samples import Samples
    from exporters.sources.source_model import SourceModel

# One-sided, for the test whether the parent's accuracy on the validation images is higher than chance explains.
LEVEL = 0.001


@dataclass(frozen=True)
class Criterion:
    """why: for the notes, what it is and why it was chosen."""

    kind: Literal["agreement", "divergence", "distance"]
    why: str


AGREEMENT = Criterion("agreement", "how often they name the parent's class; the parent was not trained on these images")
DIVERGENCE = "divergence of their class probabilities from the parent's (Kullback-Leibler, nats)"

DISTANCE = Criterion(
    "distance",
    "mean relative error of all outputs against the parent's, at most 1 a sample, as there are no labels",
)


def choose_criterion(parent: SourceModel, dataset: str, selection: Samples) -> Criterion:
    """selection: the validation split with the parent's answers.

    The accuracy on it is compared with the test accuracy that training noted in the checkpoint, not with the test
    images: those must not decide which file is chosen.
    """
    if selection.labels is None:
        return DISTANCE
    if parent.kind != "checkpoint":
        return Criterion("divergence", f"{DIVERGENCE}; it is not known whether the network was trained on {dataset}")
    if parent.source.get("dataset") != dataset or parent.tested is None:
        return Criterion(
            "divergence",
            f"{DIVERGENCE}; it was trained on {parent.source.get('dataset')}, which may contain these images",
        )
    assert selection.labels is not None
    accuracy, tested = tensors.accuracy(selection.reference[0], selection.labels), parent.tested
    if not is_more(accuracy, tested.accuracy, len(selection.labels), tested.test_images):
        return AGREEMENT
    return Criterion(
        "divergence",
        f"{DIVERGENCE}; the parent's accuracy is {accuracy:.2%} on these images and {tested.accuracy:.2%} on the test "
        f"images, a larger difference than chance explains (p < {LEVEL:g}): it seems to have been trained on them",
    )


def is_more(first: float, second: float, first_count: int, second_count: int) -> bool:
    """Whether the first of two observed shares is larger than the second by more than chance explains (pooled z)."""
    pooled = (first * first_count + second * second_count) / (first_count + second_count)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / first_count + 1 / second_count))
    return first - second > NormalDist().inv_cdf(1 - LEVEL) * spread
