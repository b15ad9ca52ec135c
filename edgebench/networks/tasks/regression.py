"""Numbers: mean absolute error, and R2 (of several values the mean of theirs)."""

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

TARGETS = "values"


def asked(network: OutputsOfFile, test: AnnotatedImages, choice: ScoreChoice) -> KeptAnswers:
    counts = [class_count(one) for one in network.outputs]
    known, wanted = counts[0] if counts else None, len(test.targets[0])
    if known not in (None, wanted):
        raise UserError(
            network.name, f"it answers with {known} numbers, the test images have {wanted}",
            "Give data with as many, or --metric package.module:callable",
        )  # fmt: skip
    return KeptAnswers({"kind": "values"}, f"{wanted} numbers of the first output", values_bytes(network))


def scores(answers: Sequence[ImageAnswers], test: AnnotatedImages, asked: KeptAnswers) -> tuple[Score, ...]:
    import numpy as np

    values = np.array([one[0].ravel() for one in answers], np.float64)
    truth = np.array(test.targets, np.float64)
    if values.shape != truth.shape:
        seen = f"the network answers with {values.shape[1]} numbers, there are {truth.shape[1]}"
        raise UserError(test.name, seen, "Give data with as many")
    if not np.isfinite(values).all():
        raise UserError(test.name, "the network answers with values that are not finite", "Check --preprocessing")
    errors = np.abs(values - truth).mean(1)
    whole, samples = np.ones((1, len(values))), _resampling.weights(len(values))
    mae = [tuple(float(one) for one in rows @ errors / len(values)) for rows in (whole, samples)]
    r2 = [_explained(values, truth, rows) for rows in (whole, samples)]
    return (
        Score("MAE", mae[0][0], lower_is_better=True, resampled=mae[1]),
        *([Score("R2", r2[0][0], resampled=r2[1])] if r2[0] else []),
    )


def _explained(values: Any, truth: Any, weights: Any) -> tuple[float, ...]:
    """() where the values do not vary at all."""
    import numpy as np

    count = weights.sum(1, keepdims=True)
    left = weights @ np.square(values - truth)
    whole = weights @ np.square(truth) - np.square(weights @ truth) / count
    if (np.ptp(truth, 0) == 0).any():
        return ()
    return tuple(float(one) for one in (1 - left / np.maximum(whole, 1e-12)).mean(1))
