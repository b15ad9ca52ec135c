"""EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946; docs/studies.md, cifar100-profile).

4,135,648 parameters and 384,662,752 MACs at 3x224x224 and 100 classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int) -> nn.Module:
    from edgebench.networks.models._torchvision import stock

    return stock("efficientnet_b0", input_shape[0], classes)
