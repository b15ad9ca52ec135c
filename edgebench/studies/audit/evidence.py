"""What the detectors examine. Each examines the kinds that it understands and ignores the rest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.energy.codecarbon_table import Emission
from edgebench.errors import UserError
from edgebench.networks.models import InputShape
from edgebench.schema.checkpoint import Checkpoint
from edgebench.schema.history import Metrics, PruningStep, Training
from edgebench.schema.record import Record
from edgebench.studies.audit.published import PublishedRow, PublishedStatement, PublishedTable

if TYPE_CHECKING:
    import torch
    from torch import nn


class LayerCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of one Conv or Linear layer."""

    weights: int
    nonzero: int

    @property
    def sparsity(self) -> float:
        return 1 - self.nonzero / self.weights


class AuditedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of one trained variant. metrics: presented as its test result.

    digest: of its checkpoint; others name it as their parent. weights_sha256: over names, shapes and values of its
    tensors. layers: by parameter name. file_bytes: of its checkpoint.
    """

    label: str
    model: str
    dataset: str
    metrics: Metrics
    arguments: dict[str, Any] = {}
    training: tuple[Training, ...] = ()
    pruning: tuple[PruningStep, ...] = ()
    digest: str = ""
    weights_sha256: str = ""
    layers: dict[str, LayerCount] = {}
    file_bytes: int | None = None

    @property
    def last_training(self) -> Training | None:
        return self.training[-1] if self.training else None

    @property
    def nonzero(self) -> int | None:
        return sum(layer.nonzero for layer in self.layers.values()) if self.layers else None


@dataclass(frozen=True)
class AuditedNetwork:
    """A module for one input shape. Nothing is computed with its weights unless a detector says so."""

    where: str
    module: nn.Module
    input_shape: InputShape


@dataclass(frozen=True)
class AuditEvidence:
    """checkpoints count as runs too, unless `runs` has one of the same digest.

    skipped: what could not be read, each with its reason. left_out: unreadable lines of readable tables.
    """

    checkpoints: tuple[Checkpoint, ...] = ()
    records: tuple[Record, ...] = ()
    emissions: tuple[Emission, ...] = ()
    published: tuple[PublishedTable, ...] = ()
    runs: tuple[AuditedRun, ...] = ()
    networks: tuple[AuditedNetwork, ...] = ()
    skipped: tuple[UserError, ...] = ()
    left_out: tuple[UserError, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.checkpoints or self.records or self.emissions or self.published or self.runs or self.networks)

    @cached_property
    def variants(self) -> tuple[AuditedRun, ...]:
        """Every trained variant; reads each checkpoint's weights once."""
        known = {run.digest for run in self.runs}
        return (*self.runs, *(run_of(one, self.name(one)) for one in self.checkpoints if one.digest not in known))

    def name(self, checkpoint: Checkpoint) -> str:
        """The label of its run, else its file name, prefixed with the folder if several files have the same name."""
        labels = [run.label for run in self.runs if run.digest == checkpoint.digest]
        if labels:
            return labels[0]
        alike = sum(one.name == checkpoint.name for one in self.checkpoints)
        return checkpoint.name if alike < 2 else f"{checkpoint.path.parent.name}/{checkpoint.name}"

    @cached_property
    def architectures(self) -> tuple[AuditedNetwork, ...]:
        """The given networks, and each one that a checkpoint names, once; built-in ones on the meta device."""
        from edgebench.networks.from_checkpoint import fresh

        found: dict[bytes, AuditedNetwork] = {}
        for one in self.checkpoints:
            about = one.about
            key = msgspec.json.encode([about.model, about.arguments, about.input_shape, len(about.class_names)])
            if key not in found:
                found[key] = AuditedNetwork(f"network '{about.model}'", fresh(about), about.input_shape)
        return (*self.networks, *found.values())

    def statements(self, *quantities: str) -> list[tuple[PublishedTable, PublishedStatement, tuple[PublishedRow, ...]]]:
        """Statements about one of `quantities` whose rows all exist, with those rows."""
        return [
            (table, statement, table.spoken_of(statement))
            for table in self.published
            for statement in table.statements
            if statement.quantity in quantities and table.spoken_of(statement)
        ]

    def measured(self, of: PublishedRow, to: PublishedRow) -> list[tuple[Record, Record]]:
        """Records of both rows on one target, if the rows name artifacts that have records."""
        wanted = of.artifact, to.artifact
        return [
            (own, base)
            for own in self.records
            for base in self.records
            if own.target.name == base.target.name and (own.artifact.name, base.artifact.name) == wanted
        ]

    def rows(self) -> list[tuple[PublishedTable, PublishedRow]]:
        return [(table, row) for table in self.published for row in table.rows]


def run_of(checkpoint: Checkpoint, label: str) -> AuditedRun:
    """The facts of a checkpoint, its weights counted. Raises BadFile if the file changed since it was opened."""
    tensors = checkpoint.tensors()
    about = checkpoint.about
    return AuditedRun(
        label=label,
        model=about.model,
        dataset=about.dataset,
        metrics=about.metrics,
        arguments=about.arguments,
        training=about.training,
        pruning=about.pruning,
        digest=checkpoint.digest,
        weights_sha256=_weights_sha256(tensors),
        layers=layers_of(tensors),
        file_bytes=checkpoint.path.stat().st_size,
    )


def layers_of(tensors: dict[str, torch.Tensor]) -> dict[str, LayerCount]:
    """Weights of Conv and Linear layers: normalisations and biases have one dimension only."""
    return {
        name: LayerCount(tensor.numel(), int(tensor.count_nonzero()))
        for name, tensor in tensors.items()
        if name.endswith("weight") and tensor.dim() >= 2
    }


def _weights_sha256(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
