"""What INT8 files of one network are compared by: how often they agree with it, or how far their answers are off.

Agreement says nothing on images that trained the network: it is so sure of them that every file names the same class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from exporters import _parity as parity

if TYPE_CHECKING:
    from exporters._evidence import Samples
    from exporters._parent import Parent

# Of the test whether a network is right on more of the validation images than chance explains, one-sided.
LEVEL = 0.001


@dataclass(frozen=True)
class Criterion:
    """why: for the notes, what it is and why this one."""

    kind: Literal["agreement", "divergence"]
    why: str


AGREEMENT = Criterion("agreement", "how often they name the parent's class; the parent was not trained on these images")
DIVERGENCE = "divergence of their classes' probabilities from the parent's (Kullback-Leibler, nats)"


def criterion(parent: Parent, dataset: str, selection: Samples, test: Samples) -> Criterion:
    """selection: the validation split, test: the test split, both with the parent's answers."""
    if parent.kind != "checkpoint":
        return Criterion(
            "divergence", f"{DIVERGENCE}; nobody knows whether the images of {dataset} that are shown trained it"
        )
    if parent.source.get("dataset") != dataset:
        return Criterion(
            "divergence", f"{DIVERGENCE}; it was trained on {parent.source.get('dataset')}, which may hold these images"
        )
    assert selection.labels is not None
    assert test.labels is not None
    shares = [parity.accuracy(one.reference, one.labels) for one in (selection, test) if one.labels is not None]
    if not is_more(*shares, len(selection.labels), len(test.labels)):
        return AGREEMENT
    return Criterion(
        "divergence",
        f"{DIVERGENCE}; the parent is right on {shares[0]:.2%} of these images and on {shares[1]:.2%} of the test "
        f"images, more than chance explains (p < {LEVEL:g}): they seem to have trained it",
    )


def is_more(first: float, second: float, first_count: int, second_count: int) -> bool:
    """Whether the first of two observed shares is larger than the second by more than chance explains (pooled z)."""
    pooled = (first * first_count + second * second_count) / (first_count + second_count)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / first_count + 1 / second_count))
    return first - second > NormalDist().inv_cdf(1 - LEVEL) * spread
