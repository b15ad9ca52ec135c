"""The residual squeeze-excitation network under 20k parameters (docs/studies.md, light-cnn).

14,240 parameters at 3x32x32 and 10 classes: `res-se` with depthwise-separable convolutions and logits directly
after the global average; 23,200 with hidden=128.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(
    input_shape: InputShape,
    classes: int,
    widths: tuple[int, int, int] = (16, 32, 64),
    hidden: int = 0,
    dropout: float = 0.3,
) -> nn.Module:
    """widths: channels of stem and blocks. hidden: units before the logits, 0 for none.

    dropout: after the hidden units; the study lowers it from 0.4 to 0.2 over the epochs, this is the mean.
    """
    from edgebench.networks.models._blocks import residual_se

    return residual_se(input_shape[0], classes, widths=widths, hidden=hidden, dropout=dropout, separable=True)
