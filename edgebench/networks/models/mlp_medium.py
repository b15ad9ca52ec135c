"""Medium MLP of the PLOS study (pruned MLPs; docs/studies.md, plos-mlp): 784-4000-1000-4000-10, ReLU, dropout 0.3.

11,185,010 parameters and 11,176,000 MACs at 1x28x28 and 10 classes; 11,393,062 with 62, 11,161,004 with 4 classes;
20,337,010 at 3x32x32. The shape is that of sparse evolutionary training (Mocanu et al. 2018, arXiv:1707.04780). The
published code ends in a softmax before a loss that includes one; this network gives logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(
    input_shape: InputShape, classes: int, hidden: tuple[int, ...] = (4000, 1000, 4000), dropout: float = 0.3
) -> nn.Module:
    """hidden: units of each hidden layer."""
    from edgebench.networks.models._mlp import perceptron

    return perceptron(input_shape, classes, hidden, dropout)
