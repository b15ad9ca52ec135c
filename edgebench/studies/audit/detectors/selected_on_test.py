"""The epoch whose weights are kept was chosen on the test split.

The approximate-compression study saves its best test epoch: the accuracy is the best of 30 tries. Right: choose on a
validation split taken from the training split.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

_REMEDY = "Choose on a validation split taken from the training split"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for run in evidence.variants:
        for training in run.training:
            if training.selected_on == "test":
                seen = f"epoch {training.kept_epoch} of {training.epochs} was kept by its accuracy on the test split"
                yield Finding("wrong", run.label, seen, _REMEDY)
    for table, row in evidence.rows():
        if row.selected_on == "test":
            best = f"the best of {row.epochs} epochs" if row.epochs else "the best epoch"
            yield Finding("wrong", table.where(row), f"{best} was kept by its accuracy on the test split", _REMEDY)
