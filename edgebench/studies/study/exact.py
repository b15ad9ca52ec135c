"""The numbers of a study that follow from the network alone: computed without training, compared digit by digit."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgebench.networks import models, pruning, sparsity
from edgebench.studies.study.file import Exact

if TYPE_CHECKING:
    from torch import nn

# Network and input shape -> the number.
Quantity = Callable[["nn.Module", models.InputShape], Any]

SEED = 0


@dataclass(frozen=True)
class CheckedNumber:
    """One number. what: network and quantity."""

    what: str
    expected: int | float | str
    seen: int | float | str

    @property
    def holds(self) -> bool:
        return self.seen == self.expected


def check(exact: Exact) -> list[CheckedNumber]:
    """Build the untrained network, apply the change, and compute everything in `expect`."""
    import torch

    shape = models.parse_shape(exact.input)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = models.build(exact.model, shape, exact.classes, **exact.arguments)
    if exact.prune:
        pruning.apply(exact.prune.method, network, exact.prune.ratio, shape, seed=SEED, **exact.prune.options)
    what = _network(exact)
    return [
        CheckedNumber(f"{what}: {name}", wanted, QUANTITIES[name](network, shape))
        for name, wanted in exact.expect.items()
    ]


def _network(exact: Exact) -> str:
    """`mlp-small 1x28x28 to 10, l1-hidden 0.5`: unique within a study file."""
    words = [exact.model, *_named(exact.arguments), f"{exact.input} to {exact.classes}"]
    if exact.prune:
        ratio = [f"{exact.prune.ratio:g}"] if exact.prune.ratio else []
        words = [*words[:-1], f"{words[-1]},", exact.prune.method, *ratio, *_named(exact.prune.options)]
    return " ".join(words)


def _named(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _size(name: str) -> Quantity:
    return lambda network, shape: getattr(models.count(network, shape), name)


def _total(name: str) -> Quantity:
    return lambda network, shape: getattr(sparsity.table(network, shape).total, name)


def _zeros(network: nn.Module, shape: models.InputShape) -> int:
    total = sparsity.table(network, shape).total
    return total.weights - total.nonzero


def _effective_sparsity_percent(network: nn.Module, shape: models.InputShape) -> float:
    return round(100 * sparsity.table(network, shape).effective, 2)


def _neurons(network: nn.Module, shape: models.InputShape) -> int:
    """Inputs and units of every linear layer, as counted by the PLOS study."""
    return prod(shape) + sum(layer.out_features for layer in _linear(network))


def _values(network: nn.Module, shape: models.InputShape) -> int:
    """Parameters and running statistics, as counted by Keras: without batch counters."""
    return sum(tensor.numel() for tensor in network.state_dict().values() if tensor.is_floating_point())


def _state_dict_mb(network: nn.Module, shape: models.InputShape) -> float:
    """Size of the file that torch.save writes, in 10^6 bytes."""
    import torch

    written = io.BytesIO()
    torch.save(network.state_dict(), written)
    return round(written.tell() / 1e6, 2)


def _convolution_parameters(network: nn.Module, shape: models.InputShape) -> int:
    from torch import nn

    convolutions = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return sum(p.numel() for layer in convolutions for p in layer.parameters())


def _linear_weights(network: nn.Module, shape: models.InputShape) -> int:
    """Connections, without biases."""
    return sum(layer.weight.numel() for layer in _linear(network))


def _linear(network: nn.Module) -> list[nn.Linear]:
    from torch import nn

    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


QUANTITIES: dict[str, Quantity] = {
    "parameters": _size("parameters"),
    "macs": _size("macs"),
    "ptflops_macs": models.ptflops_macs,
    "ptflops_m": lambda network, shape: round(models.ptflops_macs(network, shape) / 1e6, 2),
    "weights": _total("weights"),
    "nonzero": _total("nonzero"),
    "dead": _total("dead"),
    "zeros": _zeros,
    "effective_sparsity_percent": _effective_sparsity_percent,
    "neurons": _neurons,
    "values": _values,
    "state_dict_mb": _state_dict_mb,
    "convolution_parameters": _convolution_parameters,
    "linear_weights": _linear_weights,
}
