"""Which weights of a network are zero, and which of them could ever have done anything.

Weights are those of Conv2d and Linear layers that run; biases and normalisations are not counted. A weight of a
convolution is dead if, at the network's input size, it only ever meets zero padding: a 3x3 kernel on a 1x1 map uses its
centre alone. Its gradient is exactly zero, so weight decay shrinks it and magnitude pruning takes it first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.files import output
from edgebench.networks import models
from edgebench.networks.from_checkpoint import fresh, rebuild
from edgebench.schema import checkpoint

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape


@dataclass(frozen=True)
class LayerUse:
    """One use of a layer by one image: shapes of its input and output, [1, C, H, W] or [1, features]."""

    entered: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True)
class WeightLayer:
    """A Conv2d or Linear that runs."""

    name: str
    module: nn.Conv2d | nn.Linear
    calls: tuple[LayerUse, ...]

    @property
    def weight_name(self) -> str:
        """The parameter's name in state dicts."""
        return f"{self.name}.weight" if self.name else "weight"

    @property
    def uses_per_weight(self) -> int:
        """How often one image multiplies each weight."""
        from math import prod

        return sum(prod(call.left) for call in self.calls) // self.module.weight.shape[0]


def layers(model: nn.Module, input_shape: InputShape) -> list[WeightLayer]:
    """Every Conv2d and Linear that is called, in the order in which an image passes them, not that of registration.

    Left out are those whose weights other code uses, as attention does. Raises UserError if one is registered and
    never runs: its weights would be counted, ranked and pruned for nothing.
    """
    from torch import nn

    names = {module: name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    calls: dict[nn.Module, list[LayerUse]] = {}
    for module, entered, left in models.layer_calls(model, input_shape):
        calls.setdefault(module, []).append(LayerUse(tuple(entered.shape), tuple(left.shape)))
    idle = {name: module for module, name in names.items() if module not in calls}
    if idle and (idle := _without_gradient(model, input_shape, idle)):
        raise UserError(
            f"{type(model).__name__}",
            f"layers are registered and never run: {', '.join(idle)}",
            "Remove them from the network, for example with --argument; they would be pruned in place of used ones",
        )
    return [WeightLayer(names[module], module, tuple(met)) for module, met in calls.items() if module in names]


def _without_gradient(
    model: nn.Module, input_shape: InputShape, layers: dict[str, nn.Conv2d | nn.Linear]
) -> dict[str, nn.Conv2d | nn.Linear]:
    """Those of the layers whose weights no answer depends on."""
    import torch

    training = {module: module.training for module in model.modules()}
    known = {name: layer for name, layer in layers.items() if layer.weight.requires_grad}
    first = next(model.parameters())
    with torch.enable_grad():
        answers = model.eval()(torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device))
        weights = [layer.weight for layer in known.values()]
        gradients = torch.autograd.grad(answers.sum(), weights, allow_unused=True) if weights else ()
    for module, mode in training.items():
        module.training = mode
    return {name: layer for (name, layer), one in zip(known.items(), gradients, strict=True) if one is None}


def live_taps(layer: WeightLayer, axis: int) -> list[bool]:
    """For each tap of a kernel along an axis (0: rows, 1: columns) whether it ever meets the map itself."""
    from torch import nn

    convolution = layer.module
    assert isinstance(convolution, nn.Conv2d)
    stride, dilation, begin = convolution.stride[axis], convolution.dilation[axis], padding(convolution)[axis]
    taps = range(convolution.kernel_size[axis])
    live = [False] * len(taps)
    for call in layer.calls:
        size, outputs = call.entered[2 + axis], call.left[2 + axis]
        for tap in taps:
            live[tap] |= any(0 <= out * stride - begin + tap * dilation < size for out in range(outputs))
    return live


def padding(convolution: nn.Conv2d) -> tuple[int, int]:
    """Zeros before the first row and the first column."""
    if not isinstance(convolution.padding, str):
        rows, columns = convolution.padding
    elif convolution.padding == "valid":
        rows, columns = 0, 0
    else:  # "same"
        (tall, wide), (down, across) = convolution.kernel_size, convolution.dilation
        rows, columns = down * (tall - 1) // 2, across * (wide - 1) // 2
    return rows, columns


def live(layer: WeightLayer) -> torch.Tensor:
    """bool, shape of the layer's weight (not writable): False where a weight only ever meets zero padding."""
    import torch
    from torch import nn

    weight = layer.module.weight
    if not isinstance(layer.module, nn.Conv2d) or layer.module.padding_mode != "zeros":
        return torch.ones(1, dtype=torch.bool, device=weight.device).expand_as(weight)
    rows = torch.tensor(live_taps(layer, 0), device=weight.device)
    columns = torch.tensor(live_taps(layer, 1), device=weight.device)
    return (rows[:, None] & columns).expand_as(weight)


# ------------------------------------------------------------------ the table


@dataclass(frozen=True)
class LayerSparsity:
    """Weights of a layer, or of all. macs: of one image; nonzero_macs: those of an ideal sparse kernel."""

    layer: str
    weights: int
    nonzero: int
    live: int
    live_nonzero: int
    macs: int
    nonzero_macs: int

    @property
    def dead(self) -> int:
        return self.weights - self.live

    @property
    def sparsity(self) -> float:
        """Share of zeros among all weights."""
        return (self.weights - self.nonzero) / self.weights

    @property
    def live_sparsity(self) -> float:
        """Share of zeros among the weights that have an effect."""
        return (self.live - self.live_nonzero) / self.live if self.live else 0.0


@dataclass(frozen=True)
class SparsityTable:
    """rows: in the order in which an image passes the layers. dense_weights: of the network before any pruning."""

    rows: tuple[LayerSparsity, ...]
    dense_weights: int

    @property
    def total(self) -> LayerSparsity:
        sums = {field.name: sum(getattr(row, field.name) for row in self.rows) for field in fields(LayerSparsity)[1:]}
        return LayerSparsity("total", **sums)

    @property
    def effective(self) -> float:
        """Share of the dense network's weights that are zero or removed."""
        return (self.dense_weights - self.total.nonzero) / self.dense_weights


def table(model: nn.Module, input_shape: InputShape, dense_weights: int | None = None) -> SparsityTable:
    """dense_weights: see `SparsityTable`; by default those of this network. Raises UserError as `layers` does."""
    rows = tuple(_row(layer) for layer in layers(model, input_shape))
    return SparsityTable(rows, dense_weights or sum(row.weights for row in rows))


def table_of(path: Path) -> SparsityTable:
    """For a checkpoint, relative to its network before any pruning."""
    opened = checkpoint.load(path)
    about = opened.about
    network, dense = rebuild(opened), fresh(about)
    dense_weights = sum(layer.module.weight.numel() for layer in layers(dense, about.input_shape))
    return table(network, about.input_shape, dense_weights)


def _row(layer: WeightLayer) -> LayerSparsity:
    weight = layer.module.weight
    nonzero, alive = weight != 0, live(layer)
    uses = layer.uses_per_weight
    count = int(nonzero.sum())
    return LayerSparsity(
        layer=layer.name,
        weights=weight.numel(),
        nonzero=count,
        live=int(alive.sum()),
        live_nonzero=int((nonzero & alive).sum()),
        macs=uses * weight.numel(),
        nonzero_macs=uses * count,
    )


COLUMNS = ("weights", "nonzero", "dead", "sparsity", "live_sparsity", "macs", "nonzero_macs")


def write_csv(made: SparsityTable, path: Path) -> None:
    """One line per layer and one for all. Raises UserError if it cannot be written."""
    lines: list[Sequence[object]] = [("layer", *COLUMNS)]
    lines += [(row.layer, *(getattr(row, column) for column in COLUMNS)) for row in (*made.rows, made.total)]
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    output.write(path, text.getvalue())
