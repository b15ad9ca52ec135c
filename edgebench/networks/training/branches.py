"""Branches of a network, taken from networks that were trained before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebench.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.schema.checkpoint import Checkpoint

_FIRST = "branches.0."


def adopt(network: nn.Module, sources: Sequence[Checkpoint]) -> None:
    """`branches.0` of the first checkpoint becomes `branches.0` of the network, that of the second `branches.1`, ...

    Raises UserError if the number of branches or a shape differs.
    """
    branches = list(getattr(network, "branches", ()))
    if len(branches) != len(sources):
        raise UserError(
            "--branches-from",
            f"{len(sources)} checkpoints for a network of {len(branches)} branches",
            "Give one for each branch, in order",
        )
    for branch, source in zip(branches, sources, strict=True):
        branch.load_state_dict(_first_branch(source, branch))


def _first_branch(source: Checkpoint, like: nn.Module) -> dict[str, torch.Tensor]:
    tensors = {
        name.removeprefix(_FIRST): tensor for name, tensor in source.tensors().items() if name.startswith(_FIRST)
    }
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes != {name: tensor.shape for name, tensor in like.state_dict().items()}:
        raise UserError(
            str(source.path),
            f"a network '{source.about.model}' for {'x'.join(map(str, source.about.input_shape))} has no such branch",
            "Train one with `edgebench train dual-cnn --argument branches=1`",
        )
    return tensors
