"""Pruning methods, one file each: the file's name is what users type.

A plugin has one of two functions. Either parts are removed, which makes arrays, MACs and files smaller:

    def shrink(model, input_shape, *, ratio=0.3, ...) -> Cuts

or weights become zeros in arrays of the same shapes, which a dense kernel multiplies as before:

    def masks(model, input_shape, seed, *, ratio=0.5, ...) -> dict[str, torch.Tensor]

`masks` changes nothing; it returns, by parameter name, which weights are kept (bool, True: kept). Keyword-only
parameters are the users' choices, each with a default: `ratio` is --ratio, the others are --option NAME=VALUE. A
default of None stands for a number that the method finds itself. A `shrink` without a ratio must not change any answer.
The number of outputs must not change. Both raise UserError if the network has nothing to remove.

A plugin with `masks` may have a third, if its zeros move during training (see `networks.training.sparse`):

    def moving_zeros(choose, form, seed, **options) -> training.sparse.Sparsity
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edgebench import plugins
from edgebench.errors import UnknownName, UserError
from edgebench.networks.pruning._cuts import Cuts
from edgebench.networks.pruning._held import Form, HeldZeros
from edgebench.networks.sparsity import layers

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape
    from edgebench.networks.training.sparse import Sparsity


class PruningRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A method and its settings. form: how zeros are kept while the network trains (see `sparsity`)."""

    method: str
    ratio: float | None = None
    options: dict[str, Any] = {}
    form: Literal["baked", "hooks"] = "baked"


def names() -> list[str]:
    return plugins.names("edgebench.networks.pruning")


def is_structured(method: str) -> bool:
    """Whether it removes parts. Raises UnknownName."""
    return hasattr(_load(method), "shrink")


def is_lossless(method: str) -> bool:
    """Whether it removes only what no answer depends on. Raises UnknownName."""
    return "ratio" not in _defaults(method)


def moves_zeros(method: str) -> bool:
    """Whether its zeros move during training. Raises UnknownName."""
    return hasattr(_load(method), "moving_zeros")


def settings(method: str, ratio: float | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """All settings, as given or by default, `ratio` included. Raises UserError and UnknownName.

    Values may be strings, as typed.
    """
    defaults = _defaults(method)
    known = [name for name in defaults if name != "ratio"]
    for name in options:
        if name not in known:
            raise UnknownName(f"option of pruning method {method}", name, known)
    chosen = defaults | {name: _typed(name, value, defaults[name]) for name, value in options.items()}
    if ratio is not None:
        if "ratio" not in defaults:
            raise UserError(
                "--ratio", f"pruning method '{method}' takes no ratio: it removes all it can", "Leave --ratio out"
            )
        if not 0 < ratio < 1:
            raise UserError("--ratio", f"{ratio:g} is not between 0 and 1", "Give the share to remove, for example 0.3")
        chosen["ratio"] = float(ratio)
    return chosen


def apply(
    method: str, model: nn.Module, ratio: float | None, input_shape: InputShape, *, seed: int = 0, **options: Any
) -> Cuts:
    """Prune in place: remove parts, or write zeros. seed: for methods that choose at random."""
    chosen = settings(method, ratio, options)
    if is_structured(method):
        cuts: Cuts = _load(method).shrink(model, input_shape, **chosen)
        return cuts
    zeros = HeldZeros(lambda network: _masks(method, network, input_shape, seed, chosen))
    zeros.start(model)
    zeros.finish(model)
    return Cuts()


def sparsity(
    method: str,
    ratio: float | None,
    input_shape: InputShape,
    *,
    seed: int,
    form: Form = "baked",
    **options: Any,
) -> Sparsity:
    """Keeps a network's zeros during `training.fit`; they are chosen when it starts.

    form: baked writes zeros after every step; hooks multiplies weight and mask in every forward pass, as
    torch.nn.utils.prune does, which costs time and memory. seed: for methods that choose at random.
    """
    chosen = settings(method, ratio, options)
    if is_structured(method):
        raise UserError(
            f"pruning method '{method}'", "it removes parts and keeps no zeros", "Train first, then `edgebench prune`"
        )

    def choose(model: nn.Module) -> dict[str, torch.Tensor]:
        return _masks(method, model, input_shape, seed, chosen)

    if moves_zeros(method):
        moving: Sparsity = _load(method).moving_zeros(choose, form, seed, **chosen)
        return moving
    return HeldZeros(choose, form)


def keep_zeros(input_shape: InputShape) -> Sparsity:
    """Keeps the zeros that a network has when `training.fit` starts."""

    def choose(model: nn.Module) -> dict[str, torch.Tensor]:
        return {layer.weight_name: layer.module.weight != 0 for layer in layers(model, input_shape)}

    return HeldZeros(choose)


def _load(method: str) -> ModuleType:
    return plugins.load("edgebench.networks.pruning", method, kind="pruning method")


def _defaults(method: str) -> dict[str, Any]:
    plugin = _load(method)
    known = inspect.signature(getattr(plugin, "shrink", None) or plugin.masks).parameters.values()
    return {one.name: one.default for one in known if one.kind is one.KEYWORD_ONLY}


def _typed(name: str, value: Any, default: Any) -> Any:
    try:
        return msgspec.convert(value, float if default is None else type(default), strict=False)
    except msgspec.ValidationError as error:
        raise UserError(f"--option {name}", f"{value!r} does not fit ({error})", f"Its default is {default}") from error


def _masks(
    method: str, model: nn.Module, input_shape: InputShape, seed: int, chosen: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    masks: dict[str, torch.Tensor] = _load(method).masks(model, input_shape, seed, **chosen)
    if all(bool(kept.all()) for kept in masks.values()):
        raise UserError(
            f"pruning method '{method}'",
            f"it removes none of {sum(kept.numel() for kept in masks.values()):,} weights",
            "Give a higher --ratio, or a network with more weights",
        )
    return masks
