"""What distinguishes a pruned network from the one that its code makes: layers of other sizes.

A checkpoint holds this beside the tensors, as pruning may cut any kind of layer:

    {"conv1": {"out_channels": 40}, "norm1": {"num_features": 40}, "class_token": {}}

the numbers that a layer keeps about itself, and {} where only its tensors have another shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

Reshaped = dict[str, dict[str, Any]]


def differences(fresh: nn.Module, network: nn.Module) -> Reshaped:
    """fresh: as its code makes it."""
    before = dict(fresh.named_modules())
    found: Reshaped = {}
    for path, layer in network.named_modules():
        old = before[path]
        changed = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(layer).items()
            if _is_size(name, value) and vars(old).get(name) != value
        }
        if changed or _shapes(layer) != _shapes(old):
            found[path] = changed
    return found


def apply(
    network: nn.Module, changed: Mapping[str, Mapping[str, Any]], tensors: Mapping[str, torch.Tensor], *, others: bool
) -> None:
    """Give a fresh network these sizes, and its layers room for these tensors.

    others: also layers that are not listed. Raises AttributeError and ValueError for sizes that the layers do not keep.
    """
    for path, sizes in changed.items():
        layer = network.get_submodule(path)
        for name, value in sizes.items():
            old = vars(layer).get(name)
            if not _is_size(name, old) or isinstance(value, list) != isinstance(old, tuple):
                raise ValueError(f"layer '{path}' has no size '{name}'")
            setattr(layer, name, _checked(value))
    made: dict[int, nn.Parameter] = {}  # by the old one: shared weights stay shared
    for path, layer in network.named_modules():
        if others or path in changed:
            _make_room(layer, f"{path}." if path else "", tensors, made)


def _make_room(
    layer: nn.Module, prefix: str, tensors: Mapping[str, torch.Tensor], made: dict[int, nn.Parameter]
) -> None:
    import torch
    from torch import nn

    for name, parameter in list(layer._parameters.items()):
        wanted = tensors.get(prefix + name)
        if parameter is not None and wanted is not None and wanted.shape != parameter.shape:
            if id(parameter) not in made:
                room = torch.empty(wanted.shape, dtype=parameter.dtype, device=parameter.device)
                made[id(parameter)] = nn.Parameter(room, requires_grad=parameter.requires_grad)
            setattr(layer, name, made[id(parameter)])
    for name, buffer in list(layer._buffers.items()):
        wanted = tensors.get(prefix + name)
        if buffer is not None and wanted is not None and wanted.shape != buffer.shape:
            setattr(layer, name, torch.empty(wanted.shape, dtype=buffer.dtype, device=buffer.device))


def _shapes(layer: nn.Module) -> dict[str, tuple[int, ...]]:
    held = {**layer._parameters, **layer._buffers}
    return {name: tuple(tensor.shape) for name, tensor in held.items() if tensor is not None}


def _is_size(name: str, value: Any) -> bool:
    """Whether it is a number that a layer keeps about itself, or several."""
    if name.startswith("_") or isinstance(value, bool):
        return False
    return isinstance(value, int) or (
        isinstance(value, tuple) and bool(value) and all(type(one) is int for one in value)
    )


def _checked(value: Any) -> Any:
    numbers = value if isinstance(value, list) else [value]
    if not all(type(one) is int and 0 <= one < 2**31 for one in numbers):
        raise ValueError(f"{value} is not a size")
    return tuple(value) if isinstance(value, list) else value
