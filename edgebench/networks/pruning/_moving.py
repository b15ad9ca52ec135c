"""Zeros that move while a network trains: connections are dropped and the same number grown, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgebench.networks.pruning import _random
from edgebench.networks.pruning._held import Form, Held, HeldZeros

if TYPE_CHECKING:
    import torch
    from torch import nn

NORMAL_DEVIATION = 0.1


@dataclass(frozen=True)
class Rules:
    """How connections move.

    zeta: share of a layer's positive and of its negative weights that is dropped, the smallest first. before: at the
    start of each epoch; otherwise at the end of each but the last. regrow: what was just dropped may grow again.
    values: of grown connections: drawn as torch initialises a linear layer, or from N(0, 0.1), or the last value that
    the connection had.
    """

    zeta: float
    before: bool
    regrow: bool
    values: Literal["layer", "normal", "stale"]


def rewire(
    weight: torch.Tensor, kept: torch.Tensor, rules: Rules, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (in the flattened weight) to drop and to grow, equally many. Changes neither weight nor mask.

    If what was just dropped may not grow again, no more is dropped than can grow elsewhere.
    """
    import torch

    values, alive = weight.reshape(-1), kept.reshape(-1)
    free = (~alive).nonzero().reshape(-1)
    weakest = []
    for sign in (values >= 0, values < 0):
        positions = (alive & sign).nonzero().reshape(-1)
        order = values[positions].abs().argsort(stable=True)
        weakest.append(positions[order[: int(rules.zeta * len(positions))]])
    dropped = torch.cat(weakest)
    if rules.regrow:
        free = torch.cat([free, dropped])
    elif len(dropped) > len(free):
        dropped = dropped[values[dropped].abs().argsort(stable=True)[: len(free)]]
    drawn = torch.randperm(len(free), generator=generator)[: len(dropped)]
    return dropped, free[drawn.to(free.device)]


class MovingZeros(HeldZeros):
    """Masks whose zeros move between epochs. Fulfils `training.sparse.Sparsity`."""

    def __init__(
        self, choose: Callable[[nn.Module], dict[str, torch.Tensor]], form: Form, seed: int, rules: Rules
    ) -> None:
        super().__init__(choose, form)
        self._seed, self._rules = seed, rules
        self._stale: dict[str, torch.Tensor] = {}

    def start(self, model: nn.Module) -> None:
        self._generator = _random.generator("moves of set", self._seed)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        super().start(model)
        if self._rules.values == "stale":
            self._stale = {name: before[name] for name in self.held}

    def before_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        if self._rules.before:
            self._move(optimiser)

    def after_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer, *, last: bool) -> None:
        if not self._rules.before and not last:
            self._move(optimiser)

    def state(self) -> dict[str, Any]:
        stale = {name: values.clone() for name, values in self._stale.items()}
        return {**super().state(), "stale": stale, "generator": self._generator.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        for name, values in state["stale"].items():
            self._stale[name].copy_(values)
        self._generator.set_state(state["generator"])

    def _move(self, optimiser: torch.optim.Optimizer) -> None:
        for name, held in self.held.items():
            weight = held.parameter.data.view(-1)
            dropped, grown = rewire(held.parameter.data, held.kept, self._rules, self._generator)
            if self._rules.values == "stale":
                stale = self._stale[name].view(-1)
                stale[dropped] = weight[dropped]
                weight[grown] = stale[grown]
            else:
                weight[grown] = self._drawn(len(grown), inputs=held.parameter.shape[1]).to(weight)
                _forget(optimiser, held, grown)
            held.kept.view(-1)[dropped] = False
            held.kept.view(-1)[grown] = True
            held.write_zeros()
            held.kept_changed()

    def _drawn(self, count: int, inputs: int) -> torch.Tensor:
        import torch

        if self._rules.values == "normal":
            return torch.randn(count, generator=self._generator) * NORMAL_DEVIATION
        bound = inputs**-0.5
        return torch.empty(count).uniform_(-bound, bound, generator=self._generator)


def _forget(optimiser: torch.optim.Optimizer, held: Held, grown: torch.Tensor) -> None:
    """A new connection has no past: momentum and second moments start at zero."""
    import torch

    for known in optimiser.state.get(held.parameter, {}).values():
        if isinstance(known, torch.Tensor) and known.shape == held.kept.shape:
            known.view(-1)[grown] = 0.0
