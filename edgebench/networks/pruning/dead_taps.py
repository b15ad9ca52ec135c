"""Smaller, and lossless. Removes kernel taps that only ever meet zero padding; no answer changes.

This holds at the given input size: a 3x3 kernel on a 1x1 map is cut to its centre. Stock ResNet18 at 3x32x32 goes from
11,181,642 to 4,234,826 parameters. A kernel is cut to the smallest box around its live taps that gives the same number
of outputs with the same padding on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import sparsity
from edgebench.networks.pruning._cuts import Cuts

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape
    from edgebench.networks.sparsity import WeightLayer


def shrink(model: nn.Module, input_shape: InputShape) -> Cuts:
    from torch import nn

    found = sparsity.layers(model, input_shape)
    cuts = [_cut(layer) for layer in found if isinstance(layer.module, nn.Conv2d)]
    if not any(cuts):
        raise UserError(
            "pruning method dead-taps",
            f"at an input of {'x'.join(map(str, input_shape))} no kernel has a tap that meets only padding",
            "Keep the network as it is; networks designed for larger images have such kernels",
        )
    return Cuts()


def _cut(layer: WeightLayer) -> bool:
    """Whether there was anything to cut."""
    from torch import nn

    convolution = layer.module
    assert isinstance(convolution, nn.Conv2d)
    if convolution.padding_mode != "zeros":
        return False
    rows, columns = _box(layer, 0), _box(layer, 1)
    if rows is None or columns is None or (len(rows), len(columns)) == convolution.kernel_size:
        return False
    begin = sparsity.padding(convolution)
    weight = convolution.weight
    kernel = weight.detach()[:, :, rows.start : rows.stop, columns.start : columns.stop].clone()
    convolution.weight = nn.Parameter(kernel, requires_grad=weight.requires_grad)
    convolution.kernel_size = (len(rows), len(columns))
    convolution.padding = (
        begin[0] - rows.start * convolution.dilation[0],
        begin[1] - columns.start * convolution.dilation[1],
    )
    return True


def _box(layer: WeightLayer, axis: int) -> range | None:
    """The taps that stay, along one axis; None if the kernel's own padding is not the same on both sides."""
    live = sparsity.live_taps(layer, axis)
    needed = [tap for tap, lives in enumerate(live) if lives] or range(len(live))
    boxes = [
        range(begin, end + 1)
        for begin in range(needed[0] + 1)
        for end in range(needed[-1], len(live))
        if _fits(layer, axis, begin, end)
    ]
    return min(boxes, key=len, default=None)


def _fits(layer: WeightLayer, axis: int, first: int, last: int) -> bool:
    """Whether the taps first..last give the same outputs with one padding for both sides."""
    from torch import nn

    convolution = layer.module
    assert isinstance(convolution, nn.Conv2d)
    stride, dilation = convolution.stride[axis], convolution.dilation[axis]
    pad = sparsity.padding(convolution)[axis] - first * dilation
    reach = dilation * (last - first) + 1
    return pad >= 0 and all(
        (call.entered[2 + axis] + 2 * pad - reach) // stride + 1 == call.left[2 + axis] for call in layer.calls
    )
