"""An accuracy on training images, or on images that are not stated.

The CIFAR-100 profile study's 52.5 % can only be training accuracy, its 99.8 % almost certainly is. Right: top-1 on the
official test split, and the training accuracy beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow

# For an accuracy printed to a tenth of a point, from another run of the same recipe.
TOLERANCE = 0.01
_REMEDY = "Give top-1 on the official test split, and the training accuracy beside it"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for run in evidence.variants:
        train = run.last_training.train if run.last_training else None
        if train and (train.accuracy, train.loss) == (run.metrics.accuracy, run.metrics.loss):
            result = f"{run.metrics.accuracy:.2%} at a loss of {run.metrics.loss:.4f}"
            seen = f"its test result, {result}, is that on training images"
            yield Finding("wrong", run.label, seen, _REMEDY)
    for table, row in evidence.rows():
        accuracy = row.values.get("accuracy")
        if accuracy and row.accuracy_split == "train":
            yield Finding("wrong", table.where(row), f"{accuracy.plain:.1%} is on training images", _REMEDY)
        elif accuracy and not row.accuracy_split:
            seen = f"{accuracy.plain:.1%}, on images that are not stated{_ours(row, evidence.variants)}"
            yield Finding("doubtful", table.where(row), seen, _REMEDY)


def _ours(row: PublishedRow, runs: tuple[AuditedRun, ...]) -> str:
    """A training of ours that reaches this figure on training images but not on test images."""
    accuracy = row.values["accuracy"].plain
    for run in runs:
        train = run.last_training.train if run.last_training else None
        test = run.metrics
        if not train or (run.model, run.dataset) != (row.model, row.dataset):
            continue
        if abs(train.accuracy - accuracy) < TOLERANCE < abs(test.accuracy - accuracy):
            return f"; '{run.label}' has {train.accuracy:.1%} on training and {test.accuracy:.1%} on test images"
    return ""
