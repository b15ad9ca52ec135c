"""The interface between the training loop and what keeps weights at zero. Methods: `edgebench.networks.pruning`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


class Sparsity(Protocol):
    """Called by `fit` in this order: start, then for each epoch before_epoch, (after_step)*, after_epoch, then finish.

    The model is the one being trained; when `start` is called, its weights are on the training device.
    """

    def start(self, model: nn.Module) -> None:
        """Before the optimiser is made. May set weights to zero and register parametrisations."""

    def before_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None: ...

    def after_step(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """After every optimiser step: put the zeros back."""

    def after_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer, *, last: bool) -> None:
        """Before validation. A method that moves its connections does it here."""

    def finish(self, model: nn.Module) -> None:
        """Write the zeros into plain weights and remove whatever was registered."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that `restore` needs after a kill."""

    def restore(self, state: dict[str, Any]) -> None: ...
