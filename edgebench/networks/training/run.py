"""One training in progress: its epochs, the state to resume from, and its end.

Imported by `fit` only: this imports torch.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn

from edgebench.errors import UserError
from edgebench.networks.training import mixing, objective, optimisers, placement, schedules, selection, stages
from edgebench.networks.training.evaluation import evaluate
from edgebench.networks.training.images import TrainingImages
from edgebench.networks.training.recipes import Mix
from edgebench.schema.history import Epoch, TrainingCost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgebench.networks.data import Dataset
    from edgebench.networks.training.cost import TrainingMeter
    from edgebench.networks.training.recipes import Recipe
    from edgebench.networks.training.sparse import Sparsity
    from edgebench.networks.training.stages import Phase
    from edgebench.networks.training.throttled_bar import ThrottledBar


def dropouts(network: nn.Module) -> list[nn.Dropout]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]


class TrainingRun:
    """Its networks are on their device already. history: one entry for each epoch that is done."""

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        phases: Sequence[Phase],
        where: torch.device,
        meter: TrainingMeter,
        *,
        sparsity: Sparsity | None,
        teacher: nn.Module | None,
    ) -> None:
        self._network = network
        self._teacher = teacher.eval() if teacher else None
        self._dataset = dataset
        self._recipe = recipe
        self._phases = phases
        self._where = where
        self._meter = meter
        self._sparsity = sparsity
        self._mixes = recipe.mix != Mix()
        self._optimiser: torch.optim.Optimizer | None = None
        self._moving: list[nn.Parameter] = []
        self._best: dict[str, Any] = {}
        self.history: list[Epoch] = []
        self.images = TrainingImages(dataset, recipe, where)
        self._precision = placement.precision(recipe.mixed_precision, where)
        self._forward = placement.compiled(network, recipe, where, self.images)
        if self._forward is not network:
            self._compile_now()

    def _compile_now(self) -> None:
        """One pass forwards and backwards without effect: compiling is not part of the cost of a training."""
        weights, random = copy.deepcopy(self._network.state_dict()), torch.get_rng_state()
        self._network.train()
        self._loss(*next(self.images.epoch())).backward()  # type: ignore[no-untyped-call]
        self._network.zero_grad()
        self._network.load_state_dict(weights)
        torch.set_rng_state(random)

    # ------------------------------------------------------------------ an epoch

    def epoch(self, bar: ThrottledBar, label: str) -> None:
        number = len(self.history)
        phase = stages.at(self._phases, number)
        if self._optimiser is None or number == phase.first:
            self._enter(phase)
        phase.set_mode(self._network)
        self._set_dropout(number)
        loss = self._learn(phase, number, bar)
        if not math.isfinite(loss):
            raise UserError(
                label,
                f"the loss is not finite after epoch {number + 1}",
                f"Train with a lower learning rate than {phase.optimiser.learning_rate:g}",
            )
        self._judge(loss)
        last = self.history[-1]
        bar.show(
            f"epoch {number + 1}/{self._recipe.epochs}, loss {loss:.3f}, "
            f"validation accuracy {last.validation_accuracy:.1%}"
        )

    def _enter(self, phase: Phase) -> None:
        self._moving = phase.freeze(self._network)
        self._optimiser = optimisers.make(phase.optimiser, self._moving)

    def _set_dropout(self, epoch: int) -> None:
        choice = self._recipe.dropout
        if choice:
            for layer in dropouts(self._network):
                layer.p = schedules.dropout(choice.first, choice.last, epoch=epoch, epochs=self._recipe.epochs)

    def _learn(self, phase: Phase, number: int, bar: ThrottledBar) -> float:
        """All batches once; returns the mean of their losses."""
        optimiser = self._optimiser
        assert optimiser is not None
        schedule = self._recipe.schedule
        batches = self.images.batches
        steps = batches * phase.epochs
        losses = [epoch.validation_loss for epoch in self.history[phase.first :]]
        total = torch.zeros((), device=self._where)
        with self._meter.window(len(self.images)):
            if self._sparsity:
                self._sparsity.before_epoch(self._network, optimiser)
            for step, (images, labels) in enumerate(self.images.epoch(), batches * (number - phase.first)):
                factor = schedules.factor(schedule, step=step, steps=steps, epochs=phase.epochs, losses=losses)
                momentum = schedules.momentum(schedule, step=step, steps=steps)
                optimisers.set_rate(optimiser, phase.optimiser.learning_rate * factor, momentum)
                total += self._step(optimiser, images, labels)
                bar.advance()
                self._meter.tick()
            if self._sparsity:
                self._sparsity.after_epoch(self._network, optimiser, last=number + 1 == self._recipe.epochs)
            return float(total) / batches  # waits for the GPU: the window ends when the work is done

    def _step(self, optimiser: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = self._loss(images, labels)
        for parameter in self._moving:  # ten times as fast as optimiser.zero_grad()
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self._recipe.clip_gradients:
            nn.utils.clip_grad_norm_(self._moving, self._recipe.clip_gradients)
        optimiser.step()
        if self._sparsity:
            self._sparsity.after_step(self._network, optimiser)
        return loss.detach()

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        recipe = self._recipe
        targets = labels
        if self._mixes:
            images, targets = mixing.mix(images, labels, len(self._dataset.class_names), recipe.mix)
        with self._precision():
            answers = objective.answers(self._forward(images))
        loss = objective.classification(answers.float(), targets, recipe.label_smoothing)
        if recipe.distil and self._teacher:
            with torch.no_grad(), self._precision():
                teachers = self._teacher(images)
            imitation = objective.imitation(answers.float(), teachers.float(), recipe.distil)
            loss = loss.lerp(imitation, recipe.distil.alpha)
        return loss

    def _judge(self, loss: float) -> None:
        """Validate, and keep the weights if they are the best so far."""
        assert self._optimiser is not None
        validation = evaluate(self._network, self._dataset.validation, self._dataset.preprocessing)
        self.history.append(
            Epoch(
                loss=loss,
                validation_loss=validation.loss,
                validation_accuracy=validation.accuracy,
                learning_rate=self._optimiser.param_groups[0]["lr"],
                nonzero=_nonzero(self._network) if self._sparsity else None,
            )
        )
        best = selection.kept_epoch(self._recipe, self.history) == len(self.history)
        if best and selection.selected_on(self._recipe) != "none":
            self._best = copy.deepcopy(self._weights())

    # ------------------------------------------------------------------ a kill between epochs, and the end

    def _weights(self) -> dict[str, Any]:
        sparsity = self._sparsity.state() if self._sparsity else {}
        return {"network": dict(self._network.state_dict()), "sparsity": sparsity}

    def _set_weights(self, weights: dict[str, Any]) -> None:
        self._network.load_state_dict(weights["network"])
        if self._sparsity:
            self._sparsity.restore(weights["sparsity"])

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that `restore` needs."""
        assert self._optimiser is not None
        return {
            "weights": self._weights(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "history": msgspec.to_builtins(self.history),
            "cost": msgspec.to_builtins(self._meter.cost),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.history = msgspec.convert(state["history"], list[Epoch])
        self._meter.cost = msgspec.convert(state["cost"], TrainingCost)
        self._best = state["best"]
        self._set_weights(state["weights"])
        number = len(self.history)
        if number < self._recipe.epochs:
            phase = stages.at(self._phases, number)
            self._enter(phase)
            if number > phase.first and self._optimiser:
                self._optimiser.load_state_dict(state["optimiser"])

    def finish(self) -> None:
        """Load the kept weights and undo what the training changed in the network."""
        if self._best:
            self._set_weights(self._best)
        if self._sparsity:
            self._sparsity.finish(self._network)
        self._network.requires_grad_(True).eval()


def _nonzero(network: nn.Module) -> int:
    """Weights of convolutions and linear layers that are not zero."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return sum(int(layer.weight.count_nonzero()) for layer in layers)
