"""Lion, which torch does not have, and plain SGD, which torch has for larger networks.

Imported by `optimisers` only: this imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class _Own(torch.optim.Optimizer):
    """What both share: nothing is moved that has no gradient."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Torch's interface has a closure; the loop gives none."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._move(moved, [parameter.grad for parameter in moved], group)

    # Torch puts a profiler's range around every step of a class without this mark: a fifth of a small network's step.
    step.hooked = True  # type: ignore[attr-defined]

    def _move(self, moved: list[torch.Tensor], gradients: list[torch.Tensor], group: dict[str, Any]) -> None:
        raise NotImplementedError


class PlainSgd(_Own):
    """No momentum, no decay. Of an MLP's step at batch 4, torch's own takes a third."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    def _move(self, moved: list[torch.Tensor], gradients: list[torch.Tensor], group: dict[str, Any]) -> None:
        torch._foreach_add_(moved, gradients, alpha=-group["lr"])


class LionOptimiser(_Own):
    """Chen et al. 2023, arXiv:2302.06675.

    Each weight moves by the rate in the direction of the sign of an average gradient; the decay is decoupled.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def _move(self, moved: list[torch.Tensor], gradients: list[torch.Tensor], group: dict[str, Any]) -> None:
        averages = [self._average(parameter) for parameter in moved]
        blend, memory = group["betas"]
        directions = torch._foreach_lerp(averages, gradients, 1 - blend)
        torch._foreach_sign_(directions)
        torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(moved, directions, alpha=-group["lr"])
        torch._foreach_lerp_(averages, gradients, 1 - memory)

    def _average(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        average: torch.Tensor = state["average"]
        return average
