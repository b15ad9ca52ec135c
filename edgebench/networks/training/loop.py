"""The training loop.

    each epoch:   batches: forward, loss, backward, step  │  validation  │  state to go on from
                  what is timed                              what decides whose weights are kept

The same seed gives the same weights on the same CPU: every random number comes from torch's generators, seeded here.
A training that goes on after a kill ends with the weights that it would have had without.
"""

from __future__ import annotations

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


def fit(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    label: str,
    progress: Progress,
    sparsity: Sparsity | None = None,
    teacher: nn.Module | None = None,
    state: Path | None = None,
    parent: str | None = None,
    costing: Costing = Costing(),  # noqa: B008  (it is frozen)
) -> Training:
    """Train `model` in place on the training split; it ends in evaluation mode and on the CPU.

    teacher: a network whose answers to the same input are imitated, where the recipe says `distil`. state: file to go
    on from after a kill, written after every epoch; whoever named it removes it when what was trained is safe. The test
    split is not touched. Raises UserError for a recipe that does not fit the network, before any work, and when the
    loss is no number any more.
    """
    import torch

    from edgebench.networks.training.run import TrainingRun

    refuse_what_has_no_effect(model, recipe, teacher)
    split_sha256 = data.split_hash(dataset)
    where = placement.device()
    meter = TrainingMeter(costing, where)

    devices = [where] if where.type == "cuda" else []
    with torch.random.fork_rng(devices), placement.tuned(where, model, dataset.input_shape, recipe.batch):
        torch.manual_seed(seed)
        described = placement.describe(where)
        for network in (model, teacher) if teacher else (model,):
            # Channels last: twice as fast on a CPU for networks of this kind, and what a GPU's tensor cores want.
            network.to(where).to(memory_format=torch.channels_last)
        if sparsity:
            sparsity.start(model)  # it may rename parameters
        phases = stages.phases(model, recipe)
        recipe = _with_trainable(recipe, [stages.trainable(model, phase) for phase in phases])
        run = TrainingRun(model, dataset, recipe, phases, where, meter, sparsity=sparsity, teacher=teacher)
        mark = states.fingerprint(recipe, seed, split_sha256, parent, model, teacher) if state else ""
        if state:
            _go_on(run, state, mark, label, progress)
        with progress.step(label, total=run.images.batches * recipe.epochs) as step:
            bar = ThrottledBar(step)
            bar.advance(run.images.batches * len(run.history))
            while len(run.history) < recipe.epochs and not selection.stops(recipe, run.history):
                run.epoch(bar, label)
                if state:
                    states.save(state, mark, run.state())
        run.finish()

    sample = data.balanced(dataset.train, METRICS_IMAGES)
    training = Training(
        recipe=recipe.recorded(),
        seed=seed,
        split_sha256=split_sha256,
        device=described,
        kept_epoch=selection.kept_epoch(recipe, run.history),
        selected_on=selection.selected_on(recipe),
        history=tuple(run.history),
        train=evaluate(model, sample, dataset.preprocessing),
        validation=evaluate(model, dataset.validation, dataset.preprocessing),
        cost=meter.cost,
        parent=parent,
    )
    for network in (model, teacher) if teacher else (model,):
        network.to("cpu").to(memory_format=torch.contiguous_format)
    return training


def refuse_what_has_no_effect(model: nn.Module, recipe: Recipe, teacher: nn.Module | None) -> None:
    """Raises UserError for a choice of the recipe that this network, or the lack of a teacher, makes void."""
    from edgebench.networks.training.run import dropouts

    where = f"recipe '{recipe.name}'"
    if recipe.distil and not teacher:
        raise UserError(where, "it learns from a teacher, and there is none", "Name its checkpoint with --teacher")
    if teacher and not recipe.distil:
        raise UserError(where, "it does not learn from a teacher", "Use --recipe distil, or leave --teacher out")
    if recipe.dropout and not dropouts(model):
        raise UserError(where, "it sets dropout, and the network has none", "Take `dropout` out of the recipe")


def _with_trainable(recipe: Recipe, counts: list[int]) -> Recipe:
    replace = msgspec.structs.replace
    told = tuple(replace(stage, trainable=count) for stage, count in zip(recipe.stages, counts, strict=False))
    return replace(recipe, stages=told)


def _go_on(run: TrainingRun, state: Path, mark: str, label: str, progress: Progress) -> None:
    """Take up what a killed training left; what another one left is told and not used."""
    if not state.exists():
        return
    left = states.load(state, mark)
    if left is None:
        progress.say(f"{state}: it was left by another training; this one starts at the beginning")
        return
    run.restore(left)
    progress.say(f"{label}: goes on after epoch {len(run.history)}")
