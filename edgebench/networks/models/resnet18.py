"""ResNet18 with its ImageNet stem on small images (He et al. 2016, arXiv:1512.03385).

In docs/studies.md: ultralight and approx-compression.

11,175,370 parameters and 33,010,944 MACs at 1x28x28, 11,181,642 and 37,016,576 at 3x32x32; 11,227,812 with 100
classes. Five strides leave 1x1 maps, so at these sizes 62 % of the weights only ever meet padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int) -> nn.Module:
    from edgebench.networks.models._torchvision import stock

    return stock("resnet18", input_shape[0], classes)
