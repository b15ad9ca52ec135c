"""Small MLP of the PLOS study (pruned MLPs; docs/studies.md, plos-mlp): 784-16-16-10, ReLU.

13,002 parameters and 12,960 MACs at 1x28x28 and 10 classes; 13,886 with 62, 13,631 with 47, 12,900 with 4 classes;
49,610 at 3x32x32. With so few weights after the first layer, layer-wise pruning of the hidden layer alone
touches 2 % of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int, hidden: tuple[int, ...] = (16, 16), dropout: float = 0.0) -> nn.Module:
    """hidden: units of each hidden layer."""
    from edgebench.networks.models._mlp import perceptron

    return perceptron(input_shape, classes, hidden, dropout)
