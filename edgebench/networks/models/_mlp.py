"""Multi-layer perceptrons. Imported by `build` functions only: this imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from edgebench.networks.models import InputShape


def perceptron(input_shape: InputShape, classes: int, hidden: Sequence[int], dropout: float) -> nn.Module:
    """Flatten, then Linear-ReLU(-Dropout) for each of `hidden`, then the logits: the loss includes the softmax."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = prod(input_shape)
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))
