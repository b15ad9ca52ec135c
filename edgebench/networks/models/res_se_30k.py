"""The residual squeeze-excitation network that keeps the study's "<30k parameters" (docs/studies.md, light-cnn).

29,869 parameters at 3x32x32 and 10 classes: `res-se`, narrower; 27,437 with hidden=0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


def build(
    input_shape: InputShape,
    classes: int,
    widths: tuple[int, int, int] = (16, 24, 32),
    hidden: int = 64,
    dropout: float = 0.3,
) -> nn.Module:
    """widths: channels of stem and blocks. hidden: units before the logits, 0 for none.

    dropout: after the hidden units; the study lowers it from 0.4 to 0.2 over the epochs, this is the mean.
    """
    from edgebench.networks.models._blocks import residual_se

    return residual_se(input_shape[0], classes, widths=widths, hidden=hidden, dropout=dropout, separable=False)
