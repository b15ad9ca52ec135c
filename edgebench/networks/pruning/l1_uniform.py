"""Masks. In every linear layer the same share of weights, those of the smallest magnitude, become zeros.

The PLOS study (pruned MLPs) calls this "global" (docs/studies.md, plos-mlp). `layers=all` includes convolutions,
which the study leaves alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import UnknownName
from edgebench.networks import sparsity
from edgebench.networks.pruning._choice import keep_largest, linear_layers

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape

LAYERS = ("linear", "all")


def masks(
    model: nn.Module, input_shape: InputShape, seed: int, *, ratio: float = 0.5, layers: str = "linear"
) -> dict[str, torch.Tensor]:
    if layers not in LAYERS:
        raise UnknownName("--option layers", layers, LAYERS)
    chosen = (
        linear_layers(model, input_shape, "l1-uniform") if layers == "linear" else sparsity.layers(model, input_shape)
    )
    return {layer.weight_name: keep_largest(layer.module.weight, ratio) for layer in chosen}
