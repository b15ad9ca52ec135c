"""A training stage that is claimed to train more but trains the same as the previous one.

The lightweight-CNN study "unfreezes all" with a list created while everything was frozen: 330,506 parameters
train before and after, of 334,706. Right: each stage prints what it trains. Checkpoints show it as weights that did not
move.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import pairwise

from edgebench.schema.checkpoint import Checkpoint
from edgebench.schema.history import Training
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedTable
from edgebench.studies.audit.recompute import computed

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_REMEDY = "Print the number of trainable parameters at the start of each stage"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        yield from _stages(table, row)
    known = {checkpoint.digest: checkpoint for checkpoint in evidence.checkpoints}
    for child in evidence.checkpoints:
        training = child.about.training[-1] if child.about.training else None
        parent = known.get(training.parent or "") if training else None
        if training and parent and training.epochs and (still := _unmoved(child, parent, training)):
            seen = f"after {training.epochs} epochs, {still} are bit-identical to those of '{evidence.name(parent)}'"
            yield Finding("wrong", evidence.name(child), seen, _REMEDY)


def _stages(table: PublishedTable, row: PublishedRow) -> Iterator[Finding]:
    for before, after in pairwise(row.stages):
        if after.trainable == before.trainable:
            seen = f"stage '{after.name}' trains {after.trainable:,} parameters, as '{before.name}' did"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
    network = computed(row) if row.stages else None
    for stage in row.stages if network else ():
        if network and stage.trains_all and stage.trainable < network.size.parameters:
            seen = f"stage '{stage.name}' trains {stage.trainable:,} of {network.size.parameters:,} parameters"
            yield Finding("wrong", table.where(row), seen, _REMEDY)


def _unmoved(child: Checkpoint, parent: Checkpoint, training: Training) -> str:
    """What did not move, in words; "" if everything that should move did."""
    before, after = parent.tensors(), child.tensors()
    trained = [name for name in after if not name.endswith(_BUFFERS) and _is_trained(name, training)]
    still = [name for name in trained if name in before and before[name].equal(after[name])]
    if not still:
        return ""
    numbers, total = (sum(after[name].numel() for name in names) for names in (still, trained))
    shown = ", ".join(still[:3]) + (", ..." if len(still) > 3 else "")
    return f"{numbers:,} of {total:,} parameters ({shown})"


def _is_trained(name: str, training: Training) -> bool:
    """Whether the recipe trains it: without stages everything, else what the stages' patterns name."""
    stages = training.recipe.get("stages") or []
    return not stages or any(fnmatch(name, pattern) for stage in stages for pattern in stage["train"])
