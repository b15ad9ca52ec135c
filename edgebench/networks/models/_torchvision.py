"""Networks of torchvision, untrained, for any number of input channels. Imported by `build` functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import MissingPackage

if TYPE_CHECKING:
    from types import ModuleType

    from torch import nn


def zoo() -> ModuleType:
    """torchvision.models. Raises MissingPackage."""
    try:
        import torchvision.models
    except ModuleNotFoundError as error:
        raise MissingPackage("torchvision's networks", "torchvision", "train") from error
    zoo: ModuleType = torchvision.models
    return zoo


def stock(name: str, channels: int, classes: int) -> nn.Module:
    """The network with fresh random weights; if `channels` is not 3, with a matching first convolution."""
    network: nn.Module = zoo().get_model(name, weights=None, num_classes=classes)
    accept(network, channels)
    return network


def accept(network: nn.Module, channels: int) -> None:
    """Replace the first convolution by one with other input channels."""
    from torch import nn

    path, first = next((path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    if first.in_channels == channels:
        return
    fitting = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    network.set_submodule(path, drawn(fitting))


def drawn(convolution: nn.Conv2d) -> nn.Conv2d:
    """The same, with weights drawn as torchvision does for all these networks (He et al. 2015)."""
    from torch import nn

    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
