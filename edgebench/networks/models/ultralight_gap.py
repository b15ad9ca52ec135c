"""The network that the slides of the UltraLight study describe but did not measure (docs/studies.md, ultralight).

Depthwise-separable blocks, batch normalisation, global average pooling. 13,898 parameters and 1,515,968 MACs at
1x28x28, 14,186 and 2,274,560 at 3x32x32; with widths 32-64-128-256 49,290 and 49,866 parameters. Where it pools is
inferred from the operation counts: after the first and the second block. The study measured `ultralight`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int, widths: tuple[int, ...] = (16, 32, 64, 128)) -> nn.Module:
    """widths: channels of the stem, then of each depthwise-separable block."""
    from torch import nn

    from edgebench.networks.models._blocks import separable

    layers: list[nn.Module] = [
        nn.Conv2d(input_shape[0], widths[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU6(),
    ]
    for position, (inputs, outputs) in enumerate(pairwise(widths)):
        if position:
            layers.append(nn.MaxPool2d(2))
        layers += separable(inputs, outputs)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
