"""A pruned network is trained further but the dense one is not: the effect of the epochs is attributed to pruning.

The approximate-compression study's +7 to +15 points; reproduced at a small size, the dense network goes from 0.480 to
0.5355 in the same two epochs and the pruned one to 0.5343. Right: train the dense parent for the same epochs, by the
same recipe.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.family import same_training
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedTable

_REMEDY = "Train the dense parent for the same epochs by the same recipe, and compare with that"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for run in evidence.variants:
        yield from _run(run, evidence)
    for table, row in evidence.rows():
        yield from _row(table, row)


def _run(run: AuditedRun, evidence: AuditEvidence) -> Iterator[Finding]:
    if not (run.pruning and run.last_training):
        return
    step, tuned = run.pruning[-1], run.last_training
    if step.parent_accuracy is None or not step.finetune_epochs or tuned.parent != step.parent:
        return
    controls = [one.last_training for one in evidence.variants if len(one.pruning) < len(run.pruning)]
    if not any(one and one.parent == step.parent and same_training(one, tuned) for one in controls):
        gained = run.metrics.accuracy - step.parent_accuracy
        seen = (
            f"pruned at {step.ratio:g} and trained for {step.finetune_epochs} more epochs it has "
            f"{run.metrics.accuracy:.2%}, its parent {step.parent_accuracy:.2%} ({100 * gained:+.2f} points); the "
            "dense network never had these epochs"
        )
        yield Finding("wrong" if gained > 0 else "doubtful", run.label, seen, _REMEDY)


def _row(table: PublishedTable, row: PublishedRow) -> Iterator[Finding]:
    parent = table.row(row.parent)
    if not (row.pruned and row.epochs and parent and "accuracy" in row.values and "accuracy" in parent.values):
        return
    controls = [one for one in table.rows if not one.pruned and one.parent == row.parent and one.epochs == row.epochs]
    gained = row.values["accuracy"].plain - parent.values["accuracy"].plain
    if gained > 0 and not controls:
        seen = (
            f"{100 * gained:+.1f} points over '{parent.label}' with {row.epochs} more epochs, which '{parent.label}' "
            "never had"
        )
        yield Finding("wrong", table.where(row), seen, _REMEDY)
