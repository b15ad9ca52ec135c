"""How a network uses its parameters, found on the meta device: without memory or computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebench.networks.models import InputShape

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class ForwardTrace:
    """One forward pass of one image. used: parameters that the answers depend on. last: the operation behind them."""

    used: frozenset[str]
    last: str


def trace(model: nn.Module, input_shape: InputShape) -> ForwardTrace:
    """Raises RuntimeError if the network cannot take such an image. The model is left unchanged."""
    import torch

    parameters = {name: _ghost(parameter).requires_grad_() for name, parameter in model.named_parameters()}
    buffers = {name: _ghost(buffer) for name, buffer in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        image = torch.zeros(1, *input_shape, device="meta")
        answers = torch.func.functional_call(model.eval(), parameters | buffers, (image,))
    finally:
        for module, training in modes.items():
            module.training = training
    gradients = torch.autograd.grad(answers.sum(), list(parameters.values()), allow_unused=True)
    used = frozenset(name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None)
    return ForwardTrace(used, type(answers.grad_fn).__name__)


def _ghost(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.empty_like(tensor, device="meta", requires_grad=False)


def unused(model: nn.Module, input_shape: InputShape) -> dict[str, int]:
    """Registered parameters that the answers do not depend on: name -> size."""
    used = trace(model, input_shape).used
    return {name: parameter.numel() for name, parameter in model.named_parameters() if name not in used}
