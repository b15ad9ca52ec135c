"""Networks, one file each: the file's name is what users type.

A plugin has one function:

    def build(input_shape, classes) -> torch.nn.Module

input_shape: (channels, height, width); the module maps float32 [N, C, H, W] to logits [N, classes]. More keyword
arguments, with defaults, are allowed; they are kept in the checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgebench import plugins

if TYPE_CHECKING:
    from torch import nn

InputShape = tuple[int, int, int]


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large a network is.

    macs: multiply-accumulates of one image, convolution and linear weights only (no bias, no activation); 2 FLOPs each.
    weights_bytes: parameters and buffers as they are held, without any file format around them.
    """

    parameters: int
    macs: int
    weights_bytes: int


def names() -> list[str]:
    return plugins.names("edgebench.models")


def build(name: str, input_shape: InputShape, classes: int, **arguments: Any) -> nn.Module:
    """Raises UnknownName for a name that is no file here."""
    model: nn.Module = plugins.load("edgebench.models", name, kind="model").build(input_shape, classes, **arguments)
    return model


def count(model: nn.Module, input_shape: InputShape) -> Size:
    """Run one image through the network and count."""
    import torch
    from torch import nn

    macs = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(module, nn.Conv2d | nn.Linear)
        # A convolution uses every weight once per output pixel, a linear layer once per output row.
        positions = output[0, 0].numel() if isinstance(module, nn.Conv2d) else output[0].numel() // output.shape[-1]
        macs += positions * module.weight.numel()

    hooks = [m.register_forward_hook(add) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    training = model.training
    first = next(model.parameters())
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    held = [*model.parameters(), *model.buffers()]
    return Size(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=macs,
        weights_bytes=sum(t.numel() * t.element_size() for t in held),
    )
