"""UltraLightCNN: the small depthwise network of the UltraLight study (docs/studies.md, ultralight).

101,930 parameters and 342,464 MACs at 1x28x28; 132,938 and 742,016 at 3x32x32. Every layer has a bias; there is no
batch normalisation, no global pooling and no activation after the depthwise convolution: the study's
parameter and operation counts follow only from this form.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(input_shape: InputShape, classes: int, widths: tuple[int, int, int] = (16, 32, 64)) -> nn.Module:
    """widths: channels of the stem, channels of the pointwise convolution, hidden units."""
    from torch import nn

    channels, height, width = input_shape
    stem, point, hidden = widths
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(channels, stem, 3, padding=1),
            act1=nn.ReLU6(),
            pool1=nn.MaxPool2d(2),
            depthwise=nn.Conv2d(stem, stem, 3, padding=1, groups=stem),
            pointwise=nn.Conv2d(stem, point, 1),
            act2=nn.ReLU6(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            hidden=nn.Linear(point * (height // 4) * (width // 4), hidden),
            act3=nn.ReLU(),
            classifier=nn.Linear(hidden, classes),
        )
    )
