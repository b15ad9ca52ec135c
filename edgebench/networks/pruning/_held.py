"""Zeros that stay zero while a network trains, for methods with masks.

baked    zeros are written after every step; the network computes like a dense one.
hooks    every forward pass multiplies weight and mask, as torch.nn.utils.prune does: a product, a mask and a second
         copy of the weights for each layer. Not that library's own hook: it renames the parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

Form = Literal["baked", "hooks"]


@dataclass(frozen=True)
class Held:
    """parameter: what the optimiser moves. kept: bool, its shape; changed in place where connections move.

    factors: `kept` as 0.0 and 1.0. Multiplying by them is many times faster than filling by a mask, but turns negative
    weights into -0.0, whose bits would be stored: `write_zeros` comes last.
    """

    parameter: nn.Parameter
    kept: torch.Tensor
    factors: torch.Tensor

    def write_zeros(self) -> None:
        self.parameter.data.masked_fill_(~self.kept, 0.0)

    def kept_changed(self) -> None:
        self.factors.copy_(self.kept)


class HeldZeros:
    """Masks that are chosen once and do not move. Fulfils `training.sparse.Sparsity`.

    choose: model -> which weights are kept, as from the `masks` of a pruning method.
    """

    def __init__(self, choose: Callable[[nn.Module], dict[str, torch.Tensor]], form: Form = "baked") -> None:
        self._choose = choose
        self._hooked = form == "hooks"
        self.held: dict[str, Held] = {}
        self._undo: list[Callable[[], None]] = []

    def start(self, model: nn.Module) -> None:
        self.held = {}
        if self._hooked:
            _forget_compiled()
        for name, kept in self._choose(model).items():
            parameter = model.get_parameter(name)
            held = Held(parameter, kept, kept.to(parameter.dtype))
            self.held[name] = held
            if self._hooked:
                self._hook(model.get_submodule(name.rpartition(".")[0]), held)
            else:
                held.write_zeros()
                self._undo.append(parameter.register_post_accumulate_grad_hook(_silence(held)).remove)  # type: ignore[no-untyped-call]

    def _hook(self, layer: nn.Module, held: Held) -> None:
        """Whoever reads `layer.weight` gets the product; the parameter keeps its name."""

        def multiply(module: nn.Module, inputs: Any) -> None:
            object.__setattr__(module, "weight", held.parameter * held.factors)

        multiply(layer, None)
        self._undo += [layer.register_forward_pre_hook(multiply).remove, lambda: object.__delattr__(layer, "weight")]

    def before_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        pass

    def after_step(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        if not self._hooked:
            for held in self.held.values():
                held.parameter.data.mul_(held.factors)

    def after_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer, *, last: bool) -> None:
        pass

    def finish(self, model: nn.Module) -> None:
        """The weights may be an earlier epoch's; `restore` has then brought back that epoch's masks as well."""
        for held in self.held.values():
            held.write_zeros()
        while self._undo:
            self._undo.pop()()
        if self._hooked:
            _forget_compiled()

    def state(self) -> dict[str, Any]:
        return {"kept": {name: held.kept.clone() for name, held in self.held.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        for name, kept in state["kept"].items():
            self.held[name].kept.copy_(kept)
            self.held[name].kept_changed()


def _forget_compiled() -> None:
    """torch.compile does not see hooks: it would run what it compiled for the same network without them."""
    import sys

    import torch

    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def _silence(held: Held) -> Callable[[torch.Tensor], None]:
    """A zero has no gradient, so that neither momentum nor a clipped norm includes it."""

    def silence(parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            parameter.grad.mul_(held.factors)

    return silence
