"""Which steps are intact: only those are built upon and reported.

A step is not intact if its checkpoint was damaged, put there by hand, or made from a parent that has been remade since.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edgebench.errors import BadFile
from edgebench.evaluate import Evaluation
from edgebench.networks import sparsity
from edgebench.schema import checkpoint
from edgebench.studies.study.matrix import Matrix, StudyStep
from edgebench.studies.study.store import EVALUATION, NETWORK, PACKED, SPARSITY, StudyStore


def digests(matrix: Matrix, store: StudyStore) -> dict[str, str]:
    """Key of each step that is intact -> the digest of its network; for a read step, of the network that it read."""
    intact: dict[str, str] = {}
    for key, step in matrix.steps.items():
        if store.has(step) and all(parent in intact for parent in step.parents):
            digest = _digest(step, [intact[parent] for parent in step.parents], store)
            if digest:
                intact[key] = digest
    return intact


@dataclass(frozen=True)
class NetworkReport:
    """What a read step found out about its network."""

    evaluation: Evaluation
    sparsity: tuple[sparsity.LayerSparsity, ...]
    packed_bytes: dict[str, int]


def network_report(step: StudyStep, store: StudyStore) -> NetworkReport:
    """Raises msgspec's errors for files that such a step does not write."""
    return NetworkReport(
        msgspec.json.decode(store.read(step, EVALUATION), type=Evaluation),
        msgspec.json.decode(store.read(step, SPARSITY), type=tuple[sparsity.LayerSparsity, ...]),
        msgspec.json.decode(store.read(step, PACKED), type=dict[str, int]),
    )


def _digest(step: StudyStep, parents: list[str], store: StudyStore) -> str:
    """Empty if the files do not match the step's description."""
    try:
        if step.kind == "read":
            read = network_report(step, store)
            return read.evaluation.checkpoint if [read.evaluation.checkpoint] == parents else ""
        opened = checkpoint.load(store.path(step) / NETWORK)
    except (BadFile, OSError, RecursionError, ValueError, msgspec.MsgspecError):
        return ""
    about = opened.about
    if step.kind == "train":
        fits = (about.model, about.dataset, about.seed) == (step.model, step.dataset, step.seed)
    else:
        trained = [one.parent for one in about.training[-1:]]
        pruned = [one.parent for one in about.pruning[-1:]]
        fits = parents in (trained, pruned)
    return opened.digest if fits else ""
