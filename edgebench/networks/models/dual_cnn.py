"""Two small CNNs side by side, joined before the last layer (arXiv:2501.15547; docs/studies.md, light-cnn).

The study trains two single networks (167,358 parameters at 3x32x32 and 10 classes), then concatenates their 128
features each and trains a new last layer: 334,706 parameters, 2,570 of them new. A single network's
`branches.0` fits either branch of the dual one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int, branches: int = 2, dropout: float = 0.3) -> nn.Module:
    """branches: 1 is the network of the first stage, 2 that of the second."""
    from edgebench.networks.models._branches import Branches

    return Branches(input_shape, classes, branches, dropout)
