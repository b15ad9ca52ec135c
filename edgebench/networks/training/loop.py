"""The training loop.

    each epoch:   batches: forward, loss, backward, step  │  validation  │  state to resume from
                  this is timed                              this decides whose weights are kept

The same seed gives the same weights on the same CPU: every random number comes from torch's generators, seeded here.
A training that continues after a kill ends with the weights that it would have had without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgebench.errors import UserError
from edgebench.networks import data
from edgebench.networks.data import Dataset
from edgebench.networks.training import placement, selection, stages
from edgebench.networks.training import state as states
from edgebench.networks.training.cost import Costing, TrainingMeter
from edgebench.networks.training.evaluation import evaluate
from edgebench.networks.training.recipes import Recipe
from edgebench.networks.training.throttled_bar import ThrottledBar
from edgebench.progress import Progress
from edgebench.schema.history import Training

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.training.run import TrainingRun
    from edgebench.networks.training.sparse import Sparsity

METRICS_IMAGES = 10_000


@dataclass(frozen=True)
class FitOptions:
    """sparsity: keeps weights at zero. teacher: a network whose answers to the same input are imitated, where the
    recipe says `distil`. state: a file to continue from after a kill, written after every epoch; whoever named it
    removes it once the trained network is safe. parent: digest of the checkpoint that this training starts from.
    """

    sparsity: Sparsity | None = None
    teacher: nn.Module | None = None
    state: Path | None = None
    parent: str | None = None
    costing: Costing = Costing()


def fit(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    label: str,
    progress: Progress,
    options: FitOptions = FitOptions(),  # noqa: B008  (it is frozen)
) -> Training:
    """Train `model` in place on the training split; it ends in evaluation mode and on the CPU.

    The test split is not touched. Raises UserError before any work for a recipe that does not fit the network, and
    later if the loss is no longer a finite number.
    """
    import torch

    from edgebench.networks.training.run import TrainingRun

    teacher = options.teacher
    refuse_what_has_no_effect(model, recipe, teacher)
    split_sha256 = data.split_hash(dataset)
    dataset = replace(dataset, train=dataset.train.kept(), validation=dataset.validation.kept())
    where = placement.device()
    meter = TrainingMeter(options.costing, where)

    devices = [where] if where.type == "cuda" else []
    with torch.random.fork_rng(devices), placement.tuned(where, model, dataset.input_shape, recipe.batch):
        torch.manual_seed(seed)
        described = placement.describe(where)
        for network in (model, teacher) if teacher else (model,):
            # Channels last: twice as fast on a CPU for networks of this kind, and what a GPU's tensor cores want.
            network.to(where).to(memory_format=torch.channels_last)
        if options.sparsity:
            options.sparsity.start(model)  # it may rename parameters
        phases = stages.phases(model, recipe)
        recipe = _with_trainable(recipe, [stages.trainable(model, phase) for phase in phases])
        run = TrainingRun(model, dataset, recipe, phases, where, meter, sparsity=options.sparsity, teacher=teacher)
        mark = states.fingerprint(recipe, seed, split_sha256, options.parent, model, teacher) if options.state else ""
        _train(run, recipe, mark, label, progress, options.state)
        run.finish()

    training = Training(
        recipe=recipe.recorded(),
        seed=seed,
        split_sha256=split_sha256,
        device=described,
        kept_epoch=selection.kept_epoch(recipe, run.history),
        selected_on=selection.selected_on(recipe),
        history=tuple(run.history),
        train=evaluate(model, data.balanced(dataset.train, METRICS_IMAGES), dataset.preprocessing),
        validation=evaluate(model, dataset.validation, dataset.preprocessing),
        cost=meter.cost,
        parent=options.parent,
    )
    for network in (model, teacher) if teacher else (model,):
        network.to("cpu").to(memory_format=torch.contiguous_format)
    return training


def _train(run: TrainingRun, recipe: Recipe, mark: str, label: str, progress: Progress, state: Path | None) -> None:
    """All epochs, from the first or from where a killed training stopped."""
    if state:
        _resume(run, state, mark, label, progress)
    with progress.step(label, total=run.images.batches * recipe.epochs) as step:
        bar = ThrottledBar(step)
        bar.advance(run.images.batches * len(run.history))
        while len(run.history) < recipe.epochs and not selection.stops(recipe, run.history):
            run.epoch(bar, label)
            if state:
                states.save(state, mark, run.state())


def refuse_what_has_no_effect(model: nn.Module, recipe: Recipe, teacher: nn.Module | None) -> None:
    """Raises UserError for a choice of the recipe without effect on this network, or without its teacher."""
    from edgebench.networks.training.run import dropouts

    where = f"recipe '{recipe.name}'"
    if recipe.distil and not teacher:
        raise UserError(where, "it learns from a teacher, but none is given", "Name its checkpoint with --teacher")
    if teacher and not recipe.distil:
        raise UserError(where, "it does not learn from a teacher", "Use --recipe distil, or leave --teacher out")
    if recipe.dropout and not dropouts(model):
        raise UserError(where, "it sets dropout, but the network has none", "Remove `dropout` from the recipe")


def _with_trainable(recipe: Recipe, counts: list[int]) -> Recipe:
    stages = tuple(
        msgspec.structs.replace(stage, trainable=count) for stage, count in zip(recipe.stages, counts, strict=False)
    )
    return msgspec.structs.replace(recipe, stages=stages)


def _resume(run: TrainingRun, state: Path, mark: str, label: str, progress: Progress) -> None:
    """Continue what a killed training left; if the file is another training's, say so and do not use it."""
    if not state.exists():
        return
    left = states.load(state, mark)
    if left is None:
        progress.say(f"{state}: left by a different training; this one starts from the beginning")
        return
    run.restore(left)
    progress.say(f"{label}: continues after epoch {len(run.history)}")
