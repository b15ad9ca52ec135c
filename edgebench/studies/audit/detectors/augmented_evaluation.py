"""Validation or test images are augmented like training images, so accuracy on them is understated.

The PLOS study has one transform object for all splits, the lightweight-CNN study validates on its augmenting generator.
Right: only the training split is augmented. A checkpoint shows it if the validation accuracy of the kept epoch differs
from that of the kept weights on the same images.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.finding import Finding

# The same weights on the same images, in another order or precision.
TOLERANCE = 0.005
_REMEDY = "Augment the images of the training split only"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        changed = [split for split in row.augmented if split != "train"]
        if changed:
            seen = f"images of the {' and '.join(changed)} split are changed at random before they are classified"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
    for run in evidence.variants:
        yield from _in(run)


def _in(run: AuditedRun) -> Iterator[Finding]:
    for training in run.training:
        if training.validation is None or not 0 < training.kept_epoch <= training.epochs:
            continue
        during = training.history[training.kept_epoch - 1].validation_accuracy
        after = training.validation.accuracy
        if abs(during - after) > TOLERANCE:
            seen = (
                f"the kept weights of epoch {training.kept_epoch} had {during:.2%} validation accuracy during "
                f"training and {after:.2%} afterwards: the images were not the same"
            )
            yield Finding("doubtful", run.label, seen, _REMEDY)
