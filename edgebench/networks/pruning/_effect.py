"""Did a method do what its kind does? A pruning without an effect of its own kind is refused, not saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import models, sparsity

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape

# How far answers may move, as part of the largest, for a method that says it changes none.
LOSSLESS = 1e-5
IMAGES = 8


def refuse_nothing_removed(
    source: str, method: str, dense: nn.Module, network: nn.Module, input_shape: InputShape
) -> None:
    """For methods that remove parts. Zeros in arrays of the old shapes are no removed parts."""
    old, new = models.count(dense, input_shape), models.count(network, input_shape)
    if new.parameters >= old.parameters or new.macs >= old.macs:
        raise UserError(
            source,
            f"pruning method '{method}' left {new.parameters:,} of {old.parameters:,} parameters and {new.macs:,} of "
            f"{old.macs:,} MACs, so nothing was removed structurally",
            "Give a higher --ratio, or a network with more channels",
        )


def refuse_no_new_zeros(
    source: str, method: str, dense: nn.Module, network: nn.Module, input_shape: InputShape
) -> None:
    """For methods with masks."""
    before, after = (sparsity.table(one, input_shape).total.nonzero for one in (dense, network))
    if after >= before:
        raise UserError(
            source,
            f"pruning method '{method}' left {after:,} of {before:,} weights that are not zero",
            "Give a higher --ratio, or a checkpoint that is not pruned yet",
        )


def refuse_other_answers(
    source: str, method: str, dense: nn.Module, network: nn.Module, input_shape: InputShape
) -> None:
    """For methods that say they are lossless: on random images the answers must be the same but for rounding."""
    import torch

    images = torch.randn(IMAGES, *input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, given = dense(images), network(images)
    moved, largest = float((expected - given).abs().max()), float(expected.abs().max())
    if not moved <= LOSSLESS * largest:
        raise UserError(
            source,
            f"pruning method '{method}' moved answers of up to {largest:.3g} by {moved:.2g}, more than rounding",
            "Report the network to edgebench; nothing was saved",
        )
