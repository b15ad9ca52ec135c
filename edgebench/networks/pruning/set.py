"""Masks that move. Sparse evolutionary training: drop the weakest connections, grow as many elsewhere, every epoch.

Mocanu et al. 2018 (arXiv:1707.04780). Linear layers only; the number of connections of each layer never changes. Per
layer, the `zeta` smallest of the positive and of the negative weights are dropped. Three variants (docs/studies.md,
plos-mlp):

corrected      Erdos-Renyi densities for the given ratio; after each epoch but the last; grown connections are new:
               elsewhere than those just dropped, with values drawn as torch draws a linear layer's. zeta 0.2.
reference      as in Mocanu's code: epsilon 20 (or the one for the given ratio); after each epoch but the last; what was
               just dropped may grow again; values from N(0, 0.1). zeta 0.3.
as-published   as in the code of the PLOS study: every weight is kept with the same probability; before each epoch, the
               first included; what was just dropped may grow again; grown connections have the values that they had
               when they were dropped, or before the training. zeta 0.2. The optimiser's state is left alone.

Erdos-Renyi: a layer's density is epsilon * (inputs + outputs) / (inputs * outputs), at most 1. `layers=hidden` leaves
the first and the last linear layer dense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebench.errors import UnknownName, UserError
from edgebench.networks.pruning import _random
from edgebench.networks.pruning._choice import hidden_layers, linear_layers
from edgebench.networks.pruning._held import Form
from edgebench.networks.pruning._moving import MovingZeros, Rules

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape

LAYERS = {"linear": linear_layers, "hidden": hidden_layers}
REFERENCE_EPSILON = 20.0

VARIANTS = {
    "corrected": Rules(zeta=0.2, before=False, regrow=False, values="layer"),
    "reference": Rules(zeta=0.3, before=False, regrow=True, values="normal"),
    "as-published": Rules(zeta=0.2, before=True, regrow=True, values="stale"),
}


def masks(
    model: nn.Module,
    input_shape: InputShape,
    seed: int,
    *,
    ratio: float | None = None,
    variant: str = "corrected",
    layers: str = "linear",
    zeta: float | None = None,
    epsilon: float | None = None,
) -> dict[str, torch.Tensor]:
    import torch

    _check(ratio, variant, layers, zeta, epsilon)
    generator = _random.generator("masks of set", seed)
    chosen = LAYERS[layers](model, input_shape, "set")
    weights = {layer.weight_name: layer.module.weight for layer in chosen}
    if variant == "as-published":
        assert ratio is not None
        return {
            name: (torch.rand(weight.shape, generator=generator) >= ratio).to(weight.device)
            for name, weight in weights.items()
        }
    shapes = [(weight.shape[0], weight.shape[1]) for weight in weights.values()]
    if ratio is not None:
        epsilon = solve_epsilon(ratio, shapes)
    counts = connections(REFERENCE_EPSILON if epsilon is None else epsilon, shapes)
    return {
        name: _random_mask(weight, count, generator)
        for (name, weight), count in zip(weights.items(), counts, strict=True)
    }


def densities(epsilon: float, shapes: list[tuple[int, int]]) -> list[float]:
    """Share of the connections of each layer (outputs, inputs)."""
    return [min(1.0, epsilon * (rows + columns) / (rows * columns)) for rows, columns in shapes]


def solve_epsilon(ratio: float, shapes: list[tuple[int, int]]) -> float:
    """The epsilon at which the layers together have 1 - ratio of their connections."""
    wanted = (1 - ratio) * sum(rows * columns for rows, columns in shapes)
    free = list(shapes)  # those that are not dense yet
    while True:
        epsilon = wanted / sum(rows + columns for rows, columns in free)
        dense = [shape for shape in free if densities(epsilon, [shape]) == [1.0]]
        if not dense or len(dense) == len(free):
            return epsilon
        wanted -= sum(rows * columns for rows, columns in dense)
        free = [shape for shape in free if shape not in dense]


def connections(epsilon: float, shapes: list[tuple[int, int]]) -> list[int]:
    """The number of connections of each layer, rounded so that the sum is right."""
    counts, exact, given = [], 0.0, 0
    for density, (rows, columns) in zip(densities(epsilon, shapes), shapes, strict=True):
        exact += density * rows * columns
        counts.append(int(exact + 0.5) - given)
        given += counts[-1]
    return counts


def moving_zeros(
    choose: Callable[[nn.Module], dict[str, torch.Tensor]],
    form: Form,
    seed: int,
    *,
    variant: str,
    zeta: float | None,
    **others: Any,
) -> MovingZeros:
    """others: settings that `choose` has used."""
    _check(variant=variant, zeta=zeta, **others)
    rules = VARIANTS[variant]
    return MovingZeros(choose, form, seed, rules if zeta is None else replace(rules, zeta=zeta))


def _random_mask(weight: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    import torch

    kept = torch.zeros(weight.numel(), dtype=torch.bool)
    kept[torch.randperm(weight.numel(), generator=generator)[:count]] = True
    return kept.reshape(weight.shape).to(weight.device)


def _check(ratio: float | None, variant: str, layers: str, zeta: float | None, epsilon: float | None) -> None:
    if variant not in VARIANTS:
        raise UnknownName("--option variant", variant, VARIANTS)
    if layers not in LAYERS:
        raise UnknownName("--option layers", layers, LAYERS)
    if zeta is not None and not 0 <= zeta < 1:
        raise UserError("--option zeta", f"{zeta:g} is not a share", "Give for example 0.3; with 0 no connection moves")
    if epsilon is not None and epsilon <= 0:
        raise UserError(
            "--option epsilon", f"{epsilon:g} gives no connections", "Give a number above 0, for example 20"
        )
    if epsilon is not None and (ratio is not None or variant == "as-published"):
        raise UserError(
            "--option epsilon",
            "the ratio already determines the number of connections",
            "Give either --ratio or epsilon; variant as-published takes a ratio",
        )
    if ratio is None and epsilon is None and variant != "reference":
        raise UserError(
            "pruning method set", "the number of connections is not determined", "Give --ratio, for example 0.8"
        )
