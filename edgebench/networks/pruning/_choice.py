"""Which layers a method looks at, and which of their weights are the smallest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import sparsity

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape
    from edgebench.networks.sparsity import WeightLayer


def linear_layers(model: nn.Module, input_shape: InputShape, method: str) -> list[WeightLayer]:
    """In the order in which an image passes them. Raises UserError if there is none."""
    from torch import nn

    found = [layer for layer in sparsity.layers(model, input_shape) if isinstance(layer.module, nn.Linear)]
    if not found:
        raise UserError(f"pruning method {method}", "the network has no linear layer", "Prune it with l1-global")
    return found


def hidden_layers(model: nn.Module, input_shape: InputShape, method: str) -> list[WeightLayer]:
    """The linear layers between the first and the last. Raises UserError if there is none."""
    found = linear_layers(model, input_shape, method)
    if len(found) < 3:
        raise UserError(
            f"pruning method {method}",
            f"none of its {len(found)} linear layers lies between the first and the last",
            "Prune it with l1-uniform or l1-global",
        )
    return found[1:-1]


def keep_largest(weights: torch.Tensor, ratio: float) -> torch.Tensor:
    """Which weights stay (bool, same shape) if the round(ratio * count) of smallest magnitude are removed."""
    import torch

    kept = torch.ones(weights.numel(), dtype=torch.bool, device=weights.device)
    magnitudes = weights.detach().abs().reshape(-1)
    kept[torch.topk(magnitudes, round(ratio * len(kept)), largest=False, sorted=False).indices] = False
    return kept.reshape(weights.shape)
