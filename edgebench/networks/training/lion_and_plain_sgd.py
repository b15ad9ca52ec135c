"""Lion, which torch lacks, and plain SGD, where torch's has too much overhead for small networks.

Imported by `optimisers` only: this imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class _ForeachOptimiser(torch.optim.Optimizer):
    """What both share: parameters without a gradient do not move."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """closure: part of torch's interface; the loop passes none."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._move(moved, [parameter.grad for parameter in moved], group)

    # Without this mark torch wraps every step in a profiler range, which takes a fifth of a small network's step.
    step.hooked = True  # type: ignore[attr-defined]

    def _move(self, moved: list[torch.Tensor], gradients: list[torch.Tensor], group: dict[str, Any]) -> None:
        raise NotImplementedError


class PlainSgd(_ForeachOptimiser):
    """No momentum, no decay. Torch's own takes a third of an MLP's step at batch 4."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    def _move(self, moved: list[torch.Tensor], gradients: list[torch.Tensor], group: dict[str, Any]) -> None:
        torch._foreach_add_(moved, gradients, alpha=-group["lr"])


class LionOptimiser(_ForeachOptimiser):
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
