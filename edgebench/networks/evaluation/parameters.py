"""Counts a network's parameters and buffers by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.networks.evaluation import ParameterCount

if TYPE_CHECKING:
    from torch import nn


def count(model: nn.Module) -> ParameterCount:
    held = list(model.parameters())
    return ParameterCount(
        total=sum(one.numel() for one in held),
        trainable=sum(one.numel() for one in held if one.requires_grad),
        nonzero=sum(int(one.count_nonzero()) for one in held),
        buffers=sum(one.numel() for one in model.buffers() if one.is_floating_point()),
    )
