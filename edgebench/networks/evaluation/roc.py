"""One class against the rest: the true positive rate over the false positive rate."""

from __future__ import annotations

import numpy as np

from edgebench.networks.evaluation.measures import Array

POINTS = 200


def curve(scores: Array, positive: Array) -> tuple[Array, Array]:
    """(false positive rate, true positive rate), one point per threshold: equal scores share one.

    Needs a positive and a negative. positive: bool [N].
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = np.append(0, np.cumsum(hits)[last_of_equals])
    wrong = np.append(0, np.cumsum(~hits)[last_of_equals])
    return wrong / wrong[-1], found / found[-1]


def area(false_positive: Array, true_positive: Array) -> float:
    """Area under the curve: how often an image of the class scores above one of the others; ties count half."""
    return float(np.trapezoid(true_positive, false_positive))


def thinned(false_positive: Array, true_positive: Array, points: int = POINTS) -> tuple[Array, Array]:
    """At most `points` of a curve, evenly along it; the ends stay. It rises, so x + y measures the way along it."""
    if len(false_positive) <= points:
        return false_positive, true_positive
    along = false_positive + true_positive
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)))
    kept[-1] = len(along) - 1
    return false_positive[kept], true_positive[kept]
