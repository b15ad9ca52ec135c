"""Progressive unfreezing: which parameters each stage of a training moves, determined before it starts."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebench.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.training.recipes import Optimiser, Recipe, Stage


@dataclass(frozen=True)
class Phase:
    """Epochs first, first + 1, ... under one optimiser. moving: names of the trained parameters."""

    first: int
    epochs: int
    optimiser: Optimiser
    moving: frozenset[str]

    def freeze(self, network: nn.Module) -> list[nn.Parameter]:
        """Give gradients to what this phase trains, and only that; returned in the network's order."""
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in self.moving)
        return [parameter for parameter in network.parameters() if parameter.requires_grad]

    def set_mode(self, network: nn.Module) -> None:
        """Training mode; a layer whose parameters are all frozen keeps its statistics as well."""
        network.train()
        for layer in network.modules():
            own = [parameter.requires_grad for parameter in layer.parameters(recurse=False)]
            if own and not any(own):
                layer.eval()


def phases(network: nn.Module, recipe: Recipe) -> list[Phase]:
    """One phase for each stage of the recipe; without stages, one that trains everything.

    Raises UserError for a pattern that matches no parameter, and for a stage that trains nothing new.
    """
    if not recipe.stages:
        everything = frozenset(name for name, _ in network.named_parameters())
        return [Phase(0, recipe.epochs, recipe.optimiser, everything)]
    found: list[Phase] = []
    first = 0
    for number, stage in enumerate(recipe.stages, 1):
        moving = _matching(network, stage, f"recipe '{recipe.name}', stage {number}")
        if found and not moving - found[-1].moving:
            raise UserError(
                f"recipe '{recipe.name}', stage {number}",
                "it trains nothing that the previous stage did not",
                "Give it patterns that match more parameters, or give the previous stage more epochs",
            )
        found.append(Phase(first, stage.epochs, stage.optimiser or recipe.optimiser, moving))
        first += stage.epochs
    return found


def at(phases: Iterable[Phase], epoch: int) -> Phase:
    """The phase that an epoch (from 0) is in."""
    return next(phase for phase in phases if phase.first <= epoch < phase.first + phase.epochs)


def trainable(network: nn.Module, phase: Phase) -> int:
    """The number of parameters that a phase trains."""
    return sum(parameter.numel() for name, parameter in network.named_parameters() if name in phase.moving)


def _matching(network: nn.Module, stage: Stage, where: str) -> frozenset[str]:
    names = [name for name, _ in network.named_parameters()]
    moving: set[str] = set()
    for pattern in stage.train:
        matched = fnmatch.filter(names, pattern)
        if not matched:
            parts = sorted({name.rpartition(".")[0] + ".*" for name in names})
            raise UserError(where, f"'{pattern}' matches no parameter", f"The network has {', '.join(parts[:12])}")
        moving.update(matched)
    return frozenset(moving)
