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
from edgebench.errors import UserError
from edgebench.schema.history import Size

if TYPE_CHECKING:
    import torch
    from torch import nn

InputShape = tuple[int, int, int]


def parse_shape(text: str) -> InputShape:
    """`3x32x32` -> (3, 32, 32). Raises UserError."""
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError("--input", f"'{text}' is not an input shape", "Write channels x height x width, e.g. 3x32x32")
    channels, height, width = map(int, parts)
    return channels, height, width


def names() -> list[str]:
    return plugins.names("edgebench.networks.models")


def build(name: str, input_shape: InputShape, classes: int, **arguments: Any) -> nn.Module:
    """Raises UnknownName for a name without a file here."""
    plugin = plugins.load("edgebench.networks.models", name, kind="model")
    model: nn.Module = plugin.build(input_shape, classes, **arguments)
    return model


def describe(name: str, input_shape: InputShape, classes: int, **arguments: Any) -> Size:
    """The size of a network, built on the meta device: fast, however large it is. Raises UnknownName."""
    import torch

    with torch.device("meta"):
        model = build(name, input_shape, classes, **arguments)
    return count(model, input_shape)


class ListedModel(msgspec.Struct, frozen=True):
    """One line of the listing. problem: why the network cannot take such an input; there is no size then."""

    name: str
    size: Size | None = None
    ptflops_macs: int | None = None
    problem: str = ""


def listing(input_shape: InputShape, classes: int) -> list[ListedModel]:
    """Every network at this input, built on the meta device: takes seconds and no memory."""
    import torch

    found = []
    for name in names():
        try:
            with torch.device("meta"):
                model = build(name, input_shape, classes)
            found.append(ListedModel(name, count(model, input_shape), ptflops_macs(model, input_shape)))
        except (RuntimeError, ValueError, UserError) as error:
            found.append(ListedModel(name, problem=str(error).strip().splitlines()[0]))
    return found


def count(model: nn.Module, input_shape: InputShape) -> Size:
    """Run one image through the network and count; on the meta device nothing is computed."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    macs = sum(
        products(layer, entered, output)
        for layer, entered, output in layer_calls(model, input_shape)
        if isinstance(layer, _ConvNd | nn.Linear)
    )
    held = [*model.parameters(), *model.buffers()]
    return Size(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=macs,
        weights_bytes=sum(t.numel() * t.element_size() for t in held),
    )


def ptflops_macs(model: nn.Module, input_shape: InputShape) -> int:
    """MACs of one image by ptflops 0.7.5 (github.com/sovrasov/flops-counter.pytorch), the UltraLight study's tool.

    Those of `count`, plus one for each bias added, value activated and value pooled, and two for each value normalised.
    ptflops counts layers and then functions, so that a layer which calls a known function (ReLU and the pools do,
    ReLU6 does not) counts twice. `ultralight` therefore has 421,066 at 1x28x28, and the study's 421.0 K if the hidden
    layer's ReLU is a function call.
    """
    from torch import nn
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    activations = nn.ReLU | nn.ReLU6 | nn.ELU | nn.LeakyReLU | nn.PReLU | nn.GELU
    pools = nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d
    functions = {
        *(functional.relu, functional.relu6, functional.elu, functional.prelu, functional.gelu, functional.silu),
        *(functional.max_pool2d, functional.adaptive_max_pool2d, functional.avg_pool2d),
        *(functional.adaptive_avg_pool2d, functional.softmax),
    }
    macs = 0

    class Functions(TorchFunctionMode):
        def __torch_function__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal macs
            if called in functions:
                macs += args[0].numel()
            return called(*args, **(kwargs or {}))

    with Functions():
        calls = layer_calls(model, input_shape)
    for layer, entered, output in calls:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            macs += products(layer, entered, output) + (output.numel() if layer.bias is not None else 0)
        elif isinstance(layer, activations):
            macs += output.numel()
        elif isinstance(layer, pools):
            macs += entered.numel()
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            macs += entered.numel() * (2 if layer.affine else 1)
    return macs


def layer_calls(model: nn.Module, input_shape: InputShape) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
    """Each layer's call for one image of zeros, with its input and output; the model is left unchanged.

    Only layers without children, from one tensor to one. The tensors are on the meta device: shapes only.
    """
    import torch

    calls: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs and isinstance(inputs[0], torch.Tensor) and isinstance(output, torch.Tensor):
            calls.append((layer, inputs[0].to("meta"), output.to("meta")))

    hooks = [m.register_forward_hook(note) for m in model.modules() if not any(m.children())]
    training = {module: module.training for module in model.modules()}
    first = next(model.parameters())
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device))
    finally:
        for module, mode in training.items():
            module.training = mode
        for hook in hooks:
            hook.remove()
    return calls


def products(layer: nn.Module, entered: torch.Tensor, output: torch.Tensor) -> int:
    """A convolution uses every weight once per output pixel (a transposed one: input pixel), a linear layer per row."""
    from torch.nn.modules.conv import _ConvNd

    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    if isinstance(layer, _ConvNd):
        maps = entered if layer.transposed else output
        return maps[0, 0].numel() * weight.numel()
    return output[0].numel() // output.shape[-1] * weight.numel()
