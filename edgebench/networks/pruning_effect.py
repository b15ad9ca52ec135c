"""Whether a method had the effect of its kind. A pruning without it is refused, not saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import models, sparsity

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape

# How far answers may move, relative to the largest, for a method that claims to change none.
LOSSLESS = 1e-5
IMAGES = 8


def refuse_nothing_removed(
    source: str, method: str, dense: nn.Module, network: nn.Module, input_shape: InputShape
) -> None:
    """For methods that remove parts. Zeros in arrays of the same shapes do not count."""
    old, new = models.count(dense, input_shape), models.count(network, input_shape)
    if new.parameters >= old.parameters or new.macs >= old.macs:
        raise UserError(
            source,
            f"pruning method '{method}' left {new.parameters:,} of {old.parameters:,} parameters and {new.macs:,} of "
            f"{old.macs:,} MACs, so nothing was removed structurally",
            "Give a higher --ratio, a network with more channels, or --option round_to=1 where rounding kept them",
        )


def refuse_no_new_zeros(
    source: str, method: str, dense: nn.Module, network: nn.Module, input_shape: InputShape
) -> None:
    """For methods with masks."""
    before, after = (sparsity.table(one, input_shape).total.nonzero for one in (dense, network))
    if after >= before:
        raise UserError(
            source,
            f"pruning method '{method}' left {after:,} of {before:,} weights non-zero",
            "Give a higher --ratio, or a checkpoint that is not pruned yet",
        )


def refuse_another_network(source: str, network: nn.Module, rebuilt: nn.Module, input_shape: InputShape) -> None:
    """rebuilt: from the network's tensors, by the code that made it."""
    import torch

    images = torch.randn(IMAGES, *input_shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            expected, given = network.eval()(images), rebuilt(images)
    except Exception as error:  # the user's code may raise anything
        moved, seen = float("inf"), f"does not run ({(str(error).splitlines() or [''])[0][:200]})"
    else:
        moved = float((expected - given).abs().max() / expected.abs().max().clamp_min(1e-30))
        seen = f"answers differently (by {moved:.2g} of the largest answer)"
    if not moved <= LOSSLESS:
        raise UserError(
            source,
            f"the pruned network, made again by its code with its new sizes, {seen}",
            "Its code keeps sizes where edgebench cannot put them: read them from the layers, or use a method that "
            "sets weights to zero, for example --method l1-global",
        )


def refuse_other_answers(
    source: str, method: str, dense: nn.Module, network: nn.Module, input_shape: InputShape
) -> None:
    """For methods that claim to be lossless: answers to random images must agree up to rounding."""
    import torch

    images = torch.randn(IMAGES, *input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, given = dense(images), network(images)
    moved, largest = float((expected - given).abs().max()), float(expected.abs().max())
    if not moved <= LOSSLESS * largest:
        raise UserError(
            source,
            f"pruning method '{method}' moved answers of up to {largest:.3g} by {moved:.2g}, more than rounding",
            "Please report this network; nothing was saved",
        )
