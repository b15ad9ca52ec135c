"""VGG-16 with a small head (Simonyan and Zisserman 2015, arXiv:1409.1556; the PLOS study, docs/studies.md, plos-mlp).

torchvision's 13 convolutions, then 512-512-K with dropout. At 32x32 the last maps are 1x1: 15,245,130 parameters at
3x32x32 and 10 classes, 15,270,654 at 1x32x32 and 62, 15,240,900 at 1x32x32 and 4. The published code also keeps
torchvision's own head, 123,642,856 parameters that are never used; it is left out here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int, hidden: int = 512, dropout: float = 0.5) -> nn.Module:
    """hidden: units of each of the two hidden layers. Maps of odd size are pooled with their edge, so 28x28 fits."""
    from collections import OrderedDict

    from torch import nn

    from edgebench.networks.models._torchvision import accept, drawn, zoo

    channels, height, width = input_shape
    # Not vgg16().features, which draws 120 million weights for a head that is then discarded.
    plan = zoo().vgg
    features = plan.make_layers(plan.cfgs["D"])
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            drawn(layer)
        elif isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = bool(height % 2 or width % 2)
            height, width = -(-height // 2), -(-width // 2)
    accept(features, channels)
    return nn.Sequential(
        OrderedDict(
            features=features,
            flatten=nn.Flatten(),
            fc1=nn.Linear(512 * height * width, hidden),
            act1=nn.ReLU(),
            drop1=nn.Dropout(dropout),
            fc2=nn.Linear(hidden, hidden),
            act2=nn.ReLU(),
            drop2=nn.Dropout(dropout),
            fc3=nn.Linear(hidden, classes),
        )
    )
