"""Masks. As l1-uniform, but the first and the last linear layer keep all of their weights.

What the PLOS study (pruned MLPs) calls "layer-wise". First and last are told by the order in which an image meets the
layers. The part of all weights that goes is smaller than the ratio: on mlp-small 0.99 % at a ratio of 0.5.
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
