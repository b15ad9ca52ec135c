"""Masks. One ranking over the weights of all convolutions and linear layers; the smallest magnitudes become zeros.

The same as global_unstructured with L1Unstructured in torch.nn.utils.prune. Dead weights go first: check the live
sparsity that `edgebench sparsity` prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.networks import sparsity
from edgebench.networks.pruning._choice import keep_largest

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape


def masks(model: nn.Module, input_shape: InputShape, seed: int, *, ratio: float = 0.5) -> dict[str, torch.Tensor]:
    import torch

    chosen = sparsity.layers(model, input_shape)
    weights = [layer.module.weight for layer in chosen]
    kept = keep_largest(torch.cat([weight.reshape(-1) for weight in weights]), ratio)
    pieces = torch.split(kept, [weight.numel() for weight in weights])
    return {
        layer.weight_name: piece.reshape(weight.shape)
        for layer, weight, piece in zip(chosen, weights, pieces, strict=True)
    }
