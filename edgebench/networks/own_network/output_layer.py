"""The layer that gives a classifier's answers, and another one in its place for another number of classes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.networks import models
from edgebench.networks.own_network import code

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape


@dataclass(frozen=True)
class OutputLayer:
    """name: its path in the network. layer: Linear, or a convolution that is pooled afterwards."""

    name: str
    layer: nn.Module

    @property
    def outputs(self) -> int:
        return int(self.layer.weight.shape[0])  # type: ignore[index]


def outputs(source: str, network: nn.Module, input_shape: InputShape) -> int:
    """How many numbers it answers with. Raises UserError for a network that is not a classifier of such images."""
    import torch

    if not any(True for _ in network.parameters()):
        raise UserError(source, "the network has no parameters", "Return the network that is to be trained")
    training = {module: module.training for module in network.modules()}
    size = "x".join(map(str, input_shape))
    try:
        with torch.inference_mode():
            answer: Any = network.eval()(torch.zeros(2, *input_shape))
    except Exception as error:  # the user's code may raise anything
        remedy = "Give the size that it is for, as --resize"
        if input_shape[0] == 1:
            remedy += "; if it is for RGB, --preprocessing imagenet makes that of grey image files"
        raise code.own_error(source, f"the network does not take images of {size}", error, remedy) from error
    finally:
        for module, mode in training.items():
            module.training = mode
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != 2:
        seen = f"a tensor of {list(answer.shape)}" if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise UserError(
            source,
            f"its output for two images is {seen}",
            "Name a classifier: images [N, C, H, W] in, a tensor [N, classes] out",
        )
    return int(answer.shape[1])


def check_training(source: str, network: nn.Module, input_shape: InputShape) -> None:
    """Raises UserError if a copy of the network does not run in training mode; random numbers are untouched."""
    import torch

    with torch.random.fork_rng(devices=[]):
        images = torch.randn(4, *input_shape)
        try:
            copy.deepcopy(network).train()(images)
        except Exception as error:  # the user's code may raise anything
            raise code.own_error(
                source,
                "the network does not run in training mode",
                error,
                "Leave out what only training uses, for example with --argument aux_logits=False",
            ) from error


def find(network: nn.Module, input_shape: InputShape, count: int) -> OutputLayer | None:
    """The last layer with weights that an image passes, if it has `count` outputs; None if another part answers."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    names = {module: name for name, module in network.named_modules()}
    called = [layer for layer, _, _ in models.layer_calls(network, input_shape)]
    last = next((layer for layer in reversed(called) if isinstance(layer, nn.Linear | _ConvNd)), None)
    if last is None or (isinstance(last, _ConvNd) and (last.transposed or last.groups > 1)):
        return None
    found = OutputLayer(names[last], last)
    return found if found.outputs == count and found.name else None


def replace(source: str, network: nn.Module, input_shape: InputShape, count: int, classes: int) -> str:
    """Put another output layer in its place, with random weights; returns its path. Raises UserError.

    count: how many outputs the network has.
    """
    found = find(network, input_shape, count)
    if found is None:
        raise UserError(
            source,
            f"it has {count:,} outputs, the data {classes:,} classes, and its last layer cannot be replaced",
            f"Let the callable make it for {classes:,} classes, for example with --argument num_classes={classes}",
        )
    network.set_submodule(found.name, _with_outputs(found.layer, classes))
    return found.name


def _with_outputs(layer: Any, classes: int) -> nn.Module:
    from torch import nn

    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, classes, bias=layer.bias is not None)
    made: nn.Module = type(layer)(
        layer.in_channels,
        classes,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        bias=layer.bias is not None,
        padding_mode=layer.padding_mode,
    )
    return made
