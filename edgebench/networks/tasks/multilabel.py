"""Several labels an image: mAP, the mean over classes of average precision (as scikit-learn's, not interpolated), which
is how MS-COCO and VOC are scored as label sets (e.g. Ridnik et al. 2021, arXiv:2009.14119); F1 over all at 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.networks.scoring import KeptAnswers, class_count, values_bytes
from edgebench.networks.tasks import _resampling
from edgebench.schema.record import Score

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.networks.scoring import ImageAnswers, OutputsOfFile, ScoreChoice

TARGETS = "labels"


def asked(network: OutputsOfFile, test: AnnotatedImages, choice: ScoreChoice) -> KeptAnswers:
    counts = [class_count(one) for one in network.outputs]
    known = counts[0] if counts else None
    if known not in (None, len(test.class_names)):
        raise UserError(
            network.name, f"it answers with {known} numbers, the test images have {len(test.class_names)} labels",
            "Give the data that it was trained for, labels in the same order",
        )  # fmt: skip
    return KeptAnswers({"kind": "values"}, "a value for each label", values_bytes(network))


def scores(answers: Sequence[ImageAnswers], test: AnnotatedImages, asked: KeptAnswers) -> tuple[Score, ...]:
    import numpy as np

    values = np.array([one[0].ravel() for one in answers], np.float64)
    truth = np.array(test.targets, bool)
    if values.shape != truth.shape:
        raise UserError(
            test.name, f"the network answers with {values.shape[1]} numbers, there are {truth.shape[1]} labels",
            "Give the data that it was trained for",
        )  # fmt: skip
    if not truth.any():
        raise UserError(test.name, "none of its test images has a label", "Give images with labels")
    # Logits become negative, probabilities do not.
    yes = values > (0.0 if values.min() < 0 or values.max() > 1 else 0.5)
    whole = np.ones((1, len(values)))
    samples = _resampling.weights(len(values))
    return (
        Score(
            "mAP", float(_mean_precision(values, truth, whole)[0]), resampled=_mean_precision(values, truth, samples)
        ),
        Score("F1", float(_f1(yes, truth, whole)[0]), resampled=_f1(yes, truth, samples)),
    )


def _mean_precision(values: Any, truth: Any, weights: Any) -> tuple[float, ...]:
    """For each sample of images the mean over the classes that are among them."""
    import numpy as np

    found = np.stack([average_precision(values[:, k], truth[:, k], weights) for k in range(values.shape[1])])
    return tuple(float(one) for one in np.nan_to_num(np.nanmean(found, 0)))


def average_precision(values: Any, truth: Any, weights: Any) -> Any:
    """float64 [samples]; not a number where a sample has none of the class. weights: [samples, images]."""
    import numpy as np

    order = np.argsort(-values, kind="stable")
    weighted = weights[:, order].astype(np.float64)
    right = np.cumsum(weighted * truth[order], 1)
    every = np.cumsum(weighted, 1)
    # Equal values are one threshold.
    last = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    right, every = right[:, last], every[:, last]
    precision = np.divide(right, every, out=np.zeros_like(right), where=every > 0)
    gained = np.diff(right, axis=1, prepend=0)
    total = right[:, -1]
    area = (precision * gained).sum(1)
    return np.divide(area, total, out=np.full(len(total), np.nan), where=total > 0)


def _f1(yes: Any, truth: Any, weights: Any) -> tuple[float, ...]:
    import numpy as np

    right, wrong, missed = (weights @ one.sum(1) for one in (yes & truth, yes & ~truth, ~yes & truth))
    return tuple(float(one) for one in 2 * right / np.maximum(2 * right + wrong + missed, 1))
