"""prune: a checkpoint, or a network with weights of the user's own -> a smaller or sparser checkpoint, fine-tuned."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import UserError
from edgebench.networks import models, own_network, pruning, pruning_effect, sparsity, starting, training
from edgebench.networks.from_checkpoint import filled, rebuild, sizes_changed
from edgebench.networks.own_network import output_layer
from edgebench.networks.pruning import PruningRequest
from edgebench.networks.starting import StartingPoint
from edgebench.networks.training import FitOptions
from edgebench.progress import Progress, Silent
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint, Metadata
from edgebench.schema.history import PruningStep

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.data import Dataset
    from edgebench.networks.models import InputShape
    from edgebench.networks.training.sparse import Sparsity


@dataclass(frozen=True)
class Pruned:
    """The new checkpoint beside its parent. size_bytes: of the two files."""

    checkpoint: Checkpoint
    step: PruningStep
    accuracy_before_finetune: float
    size_bytes_before: int
    size_bytes_after: int

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    def __str__(self) -> str:
        before, after = self.step.before, self.step.after
        metrics = self.checkpoint.about.metrics
        tuned = f" -> {metrics.accuracy:.2%} (fine-tuned)" if self.step.finetune_epochs else ""
        channels = f"{self.step.channels_removed:,} channels removed, " if self.step.channels_removed else ""
        return (
            f"{self.path}: {channels}{before.parameters:,} -> {after.parameters:,} parameters, "
            f"{self.step.nonzero:,} of {self.step.weights:,} weights non-zero, "
            f"{before.macs:,} -> {after.macs:,} MACs, {self.size_bytes_before:,} -> {self.size_bytes_after:,} bytes, "
            f"accuracy {self.step.parent_accuracy:.2%} -> {self.accuracy_before_finetune:.2%} (cut){tuned}"
        )


def prune(
    source: Path | StartingPoint,
    *,
    method: str = "channels",
    ratio: float | None = None,
    options: Mapping[str, Any] | None = None,
    recipe: str | Path | training.Recipe = "finetune",
    finetune: int | None = None,
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Pruned:
    """Remove a part of a network or set weights to zero, fine-tune, test, save.

    source: a checkpoint, or a network that is none yet: one is made of it first (`starting.opened`). ratio, options:
    the method's own defaults where they are left out. recipe: for fine-tuning: a name, a file, or a recipe. finetune:
    epochs, in place of the recipe's; a lossless method is not fine-tuned. out: see `checkpoint.new_path`; the default
    is `checkpoints/<source>-<method>.safetensors`. Raises UserError if the method had no effect.
    """
    request = PruningRequest(method, ratio, dict(options or {}))
    pruning.settings(method, ratio, request.options)
    tuning = _tuning(method, recipe, finetune)
    parent, images = starting.opened(source, out, progress)
    path = checkpoint.new_path(f"{parent.name}-{method}", out)
    where = str(parent.path)

    dense, network = rebuild(parent), rebuild(parent)
    about = _on_these_images(parent.about, starting.point(source), dense, images)
    cuts = pruning.apply(method, network, ratio, about.input_shape, seed=about.seed, **request.options)
    for line in cuts.lines:
        progress.say(line)
    _refuse_no_effect(where, method, dense, network, about.input_shape)
    about = _rebuildable(where, method, about, network)
    cut = metrics = training.evaluate(network, images.test, about.preprocessing)

    trainings = about.training
    if tuning:
        tuned = training.fit(
            network,
            images,
            tuning,
            seed=about.seed,
            label=f"fine-tune {path.stem}",
            progress=progress,
            options=FitOptions(sparsity=_zeros(about, request), parent=parent.digest),
        )
        trainings = (*trainings, tuned)
        metrics = training.evaluate(network, images.test, about.preprocessing)
    step = msgspec.structs.replace(
        _step(dense, network, about.input_shape, request),
        channels_removed=cuts.removed,
        untouched=dict(cuts.untouched),
        finetune_epochs=trainings[-1].epochs if tuning else 0,
        parent=parent.digest,
        parent_accuracy=about.metrics.accuracy,
    )
    pruned = {"training": trainings, "size": step.after, "metrics": metrics, "pruning": (*about.pruning, step)}
    made = checkpoint.save(network, msgspec.structs.replace(about, created=checkpoint.now(), **pruned), path)
    result = Pruned(made, step, cut.accuracy, parent.path.stat().st_size, path.stat().st_size)
    progress.say(str(result))
    return result


def _on_these_images(about: Metadata, start: StartingPoint, dense: nn.Module, images: Dataset) -> Metadata:
    """If the user named other data than the checkpoint's: with this data and the accuracy on it."""
    if start.dataset is None or not start.is_checkpoint:
        return about
    metrics = training.evaluate(dense, images.test, about.preprocessing)
    named = images.name if images.content else start.dataset
    return msgspec.structs.replace(about, dataset=named, metrics=metrics)


def before_training(
    network: nn.Module, input_shape: InputShape, request: PruningRequest, *, seed: int = 0
) -> tuple[Sparsity, PruningStep]:
    """What keeps the zeros of a network that is sparse from its first step on, and the step its checkpoint records.

    The network is left as it is. Raises what `pruning.apply` raises, before any training. The step has no parent.
    """
    method, ratio, options = request.method, request.ratio, request.options
    zeros = pruning.sparsity(method, ratio, input_shape, seed=seed, form=request.form, **options)
    pruned = copy.deepcopy(network)
    pruning.apply(method, pruned, ratio, input_shape, seed=seed, **options)
    return zeros, _step(pruned, pruned, input_shape, request)


def _step(dense: nn.Module, network: nn.Module, input_shape: InputShape, request: PruningRequest) -> PruningStep:
    """Without a parent. If no ratio was given, it is the share of the weights that were removed."""
    method = request.method
    chosen = pruning.settings(method, request.ratio, request.options)
    ratio = chosen.pop("ratio", None)
    left = sparsity.table(network, input_shape).total
    weights = sparsity.table(dense, input_shape).total.weights
    known = {name: value for name, value in chosen.items() if value is not None}
    return PruningStep(
        method=method,
        ratio=1 - left.nonzero / weights if ratio is None else ratio,
        finetune_epochs=0,
        before=models.count(dense, input_shape),
        after=models.count(network, input_shape),
        parent="",
        parent_accuracy=None,
        form="smaller" if pruning.is_structured(method) else "baked",
        options=known | _moved_padding(dense, network),
        weights=left.weights,
        nonzero=left.nonzero,
    )


def _tuning(method: str, recipe: str | Path | training.Recipe, epochs: int | None) -> training.Recipe | None:
    """The recipe to fine-tune with; None for no fine-tuning."""
    if epochs is not None and epochs < 0:
        raise UserError("--finetune", f"{epochs} epochs", "Give 0 or more")
    if pruning.is_lossless(method):
        if epochs:
            raise UserError(
                "--finetune", f"'{method}' changes no answers, so there is nothing to recover", "Leave it out"
            )
        return None
    return None if epochs == 0 else training.recipe(recipe, epochs)


def _zeros(about: Metadata, request: PruningRequest) -> Sparsity | None:
    """What keeps weights at zero during fine-tuning: those of this pruning and of earlier ones."""
    method = request.method
    if pruning.moves_zeros(method):
        return pruning.sparsity(method, request.ratio, about.input_shape, seed=about.seed, **request.options)
    if pruning.is_structured(method) and not about.has_zeros:
        return None
    return pruning.keep_zeros(about.input_shape)


def _rebuildable(where: str, method: str, about: Metadata, network: nn.Module) -> Metadata:
    """With the sizes that the network has now. Raises UserError if code and sizes do not give the same network."""
    if not pruning.is_structured(method):
        return about
    about = msgspec.structs.replace(about, reshaped=sizes_changed(about, network))
    if own_network.is_own(about.model):
        output_layer.check_training(where, network, about.input_shape)
    pruning_effect.refuse_another_network(where, network, filled(about, network.state_dict(), where), about.input_shape)
    return about


def _refuse_no_effect(source: str, method: str, dense: nn.Module, network: nn.Module, shape: InputShape) -> None:
    if not pruning.is_structured(method):
        pruning_effect.refuse_no_new_zeros(source, method, dense, network, shape)
        return
    pruning_effect.refuse_nothing_removed(source, method, dense, network, shape)
    if pruning.is_lossless(method):
        pruning_effect.refuse_other_answers(source, method, dense, network, shape)


def _moved_padding(dense: nn.Module, network: nn.Module) -> dict[str, Any]:
    """`{"padding": {layer: [rows, columns]}}` of cut kernels, which `checkpoint.build` cannot infer from shapes."""
    from torch import nn

    known = {name: layer.padding for name, layer in dense.named_modules() if isinstance(layer, nn.Conv2d)}
    moved = {
        name: layer.padding
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.padding != known[name]
    }
    return {"padding": moved} if moved else {}
