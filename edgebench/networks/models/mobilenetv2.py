"""MobileNetV2 with its ImageNet stem on small images (Sandler et al. 2018, arXiv:1801.04381).

In docs/studies.md: ultralight and approx-compression.

2,236,106 parameters and 5,597,552 MACs at 1x28x28, 2,236,682 and 6,124,928 at 3x32x32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int) -> nn.Module:
    from edgebench.networks.models._torchvision import stock

    return stock("mobilenet_v2", input_shape[0], classes)
