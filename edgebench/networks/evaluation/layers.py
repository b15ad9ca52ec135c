"""Inputs and outputs of a network's layers, in the order in which they ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebench.networks.evaluation.measures import Array

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class RecordedCall:
    name: str
    layer: nn.Module
    entered: torch.Tensor
    left: torch.Tensor


def calls(model: nn.Module, images: Array, kind: type[nn.Module]) -> list[RecordedCall]:
    """Every call of a layer of one kind. images: float32 [N, C, H, W], on the CPU; tensors are where the model is."""
    import torch

    made: list[RecordedCall] = []

    def watch(name: str) -> Any:
        def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            made.append(RecordedCall(name, layer, inputs[0], output))

        return note

    hooks = [
        layer.register_forward_hook(watch(name)) for name, layer in model.named_modules() if isinstance(layer, kind)
    ]
    try:
        with torch.inference_mode():
            model(torch.from_numpy(images).to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return made
