"""Masks. As l1-uniform, but the first and the last linear layer keep all of their weights.

The PLOS study (pruned MLPs) calls this "layer-wise". First and last refer to the order in which an image passes the
layers. The share of all weights that is removed is smaller than the ratio: 0.99 % for mlp-small at a ratio of 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.networks.pruning._choice import hidden_layers, keep_largest

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape


def masks(model: nn.Module, input_shape: InputShape, seed: int, *, ratio: float = 0.5) -> dict[str, torch.Tensor]:
    chosen = hidden_layers(model, input_shape, "l1-hidden")
    return {layer.weight_name: keep_largest(layer.module.weight, ratio) for layer in chosen}
