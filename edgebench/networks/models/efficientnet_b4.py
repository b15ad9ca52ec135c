"""EfficientNet-B4 (Tan and Le 2019, arXiv:1905.11946; docs/studies.md, cifar100-profile).

17,727,916 parameters and 1,502,097,632 MACs at 3x224x224 and 100 classes: the size of the study, which is smaller than
the 380x380 that this network was designed for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int) -> nn.Module:
    from edgebench.networks.models._torchvision import stock

    return stock("efficientnet_b4", input_shape[0], classes)
