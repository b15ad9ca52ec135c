"""Metrics of the device's answers to a test set that are not top-1: mAP, mean IoU, errors, a user's own.

Each has its name beside it wherever it is shown. Values are set against each other only if they are of the same metric
on the same test images, sample of images by sample of images.
"""

from __future__ import annotations

import numpy as np

from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record, Score

PERCENT = (2.5, 97.5)
LOWER_IS_BETTER = "MAE"


def estimate(score: Score) -> Estimate:
    """With the interval of its value over samples of the images, where there are any."""
    if not score.resampled:
        return Estimate(score.value)
    low, high = np.percentile(score.resampled, PERCENT)
    return Estimate(score.value, float(min(low, score.value)), float(max(high, score.value)))


def first(record: Record) -> Score | None:
    """The one that a record is compared by; None where that is top-1, or nothing."""
    return record.scored.scores[0] if record.scored and record.scored.scores and record.answers is None else None


def change(record: Record, baseline: Record) -> Estimate | None:
    """The first metric minus the baseline's; None unless it is the same one on the same test images."""
    own, base = first(record), first(baseline)
    if record is baseline or own is None or base is None or record.scored is None or baseline.scored is None:
        return None
    if (own.metric, record.scored.test_sha256) != (base.metric, baseline.scored.test_sha256):
        return None
    difference = own.value - base.value
    if not own.resampled or len(own.resampled) != len(base.resampled):
        return Estimate(difference)
    low, high = np.percentile(np.subtract(own.resampled, base.resampled), PERCENT)
    return Estimate(difference, float(min(low, difference)), float(max(high, difference)))


def gained(record: Record, against: Estimate | None) -> Estimate | None:
    """A change of the first metric, larger where it is better."""
    score = first(record)
    if against is None or score is None or not score.lower_is_better:
        return against
    low, high = (None if end is None else -end for end in (against.high, against.low))
    return Estimate(-against.value, low, high)


def shown(score: Score) -> str:
    """`mAP50-95 0.412 (0.390-0.431)`."""
    found = estimate(score)
    text = f"{score.metric} {number(found.value)}"
    return text if found.low is None or found.high is None else f"{text} ({number(found.low)}-{number(found.high)})"


def number(value: float) -> str:
    """Three decimals for shares; else four digits."""
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.4g}"


def loss(record: Record, against: Estimate | None) -> tuple[str, float]:
    """The metric of which a file loses more than chance explains, and how much: against its float parent on the host,
    else against the baseline on the device. ("", 0.0) where it loses nothing, or a smaller value is a better one.
    """
    parity, score = record.artifact.parity, first(record)
    if parity is not None and parity.score is not None and parity.parent_score is not None:
        lost = parity.parent_score - parity.score
        return (parity.metric, lost) if lost > 0 and parity.metric != LOWER_IS_BETTER else ("", 0.0)
    if score is None or score.lower_is_better or against is None or against.high is None or against.high >= 0:
        return "", 0.0
    return score.metric, -against.value


def sentence(record: Record, against: Estimate | None) -> str:
    """All metrics of a record, on how many images; "" without any. against: see `change`."""
    scored = record.scored
    if scored is None or not scored.scores:
        return ""
    values = ", ".join(shown(one) + (" (lower is better)" if one.lower_is_better else "") for one in scored.scores)
    said = f"{scored.task} on the device: {values} on {scored.images:,} test images of {scored.dataset}"
    if against is None:
        return said
    said += f"; {scored.scores[0].metric} {against.value:+.4f} against the baseline"
    if against.low is None or against.high is None:
        return said
    return f"{said} ({against.low:+.4f} to {against.high:+.4f}, on the same samples of the images)"
