"""What the training loop asks of something that keeps weights at zero. Methods: `edgebench.networks.pruning`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


class Sparsity(Protocol):
    """Called by `fit` in this order: start, then for each epoch before_epoch, (after_step)*, after_epoch, then finish.

    The model passed is the one that is trained; on a GPU its weights are there when `start` is called.
    """

    def start(self, model: nn.Module) -> None:
        """Before the optimiser is made. Weights may be set to zero, parametrisations registered."""

    def before_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None: ...

    def after_step(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """After every optimiser step: put the zeros back."""

    def after_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer, *, last: bool) -> None:
        """Before validation. A method that moves its connections does it here."""

    def finish(self, model: nn.Module) -> None:
        """The zeros are written into plain weights; whatever was registered is gone."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that `restore` needs to go on after a kill."""

    def restore(self, state: dict[str, Any]) -> None: ...
