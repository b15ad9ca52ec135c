"""Residual blocks with squeeze-excitation: the improved network of the lightweight-CNN study (see docs/studies.md).

83,344 parameters at 3x32x32 and 10 classes; 83,920 with the normalisations' statistics, which are not
parameters. The study says "<30k", which is true of `res-se-30k`.
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
    hidden: int = 128,
    dropout: float = 0.3,
) -> nn.Module:
    """widths: channels of stem and blocks. hidden: units before the logits, 0 for none.

    dropout: after the hidden units; the study lowers it from 0.4 to 0.2 over the epochs, this is the mean.
    """
    from edgebench.networks.models._blocks import residual_se

    return residual_se(input_shape[0], classes, widths=widths, hidden=hidden, dropout=dropout, separable=False)
