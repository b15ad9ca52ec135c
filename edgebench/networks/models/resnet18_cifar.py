"""ResNet18 for small images (He et al. 2016, arXiv:1512.03385): 3x3 stem, no first pooling.

In docs/studies.md: cifar100-profile.

11,220,132 parameters and 555,468,800 MACs at 3x32x32 and 100 classes. The published code omits the global pooling,
without which it cannot run; the published counts include it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int) -> nn.Module:
    from torch import nn

    from edgebench.networks.models._torchvision import drawn, stock

    network = stock("resnet18", 3, classes)
    network.conv1 = drawn(nn.Conv2d(input_shape[0], 64, 3, padding=1, bias=False))
    network.maxpool = nn.Identity()
    return network
