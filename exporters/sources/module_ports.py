"""What a torch.nn.Module takes and answers: names, sizes and dtypes. Only for worker processes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edgebench.errors import UserError
from edgebench.schema.bundle import TensorSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

# The names of the only input, and of the only output, in files made of a network that does not name them.
INPUT, CLASSES, OUTPUT = "input", "logits", "output"
IMAGE_CHANNELS = (1, 3, 4)
MOST_AXES = 5


def ordered(module: nn.Module, given: Sequence[TensorSpec], where: str) -> tuple[TensorSpec, ...]:
    """The inputs in the order of `forward`, named as there. given: "" is the name of an only input.

    Raises UserError for names that it does not have, and for inputs that are missing.
    """
    parameters = list(inspect.signature(module.forward).parameters.values())
    named = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    is_open = any(one.kind == one.VAR_POSITIONAL for one in parameters)
    if len(given) == 1 and given[0].name in ("", *(one.name for one in named[:1])):
        if needed := [one.name for one in named[1:] if one.default is one.empty]:
            raise UserError(where, f"it takes {', '.join(one.name for one in named)}", _give([named[0].name, *needed]))
        return (_laid_out(msgspec.structs.replace(given[0], name=given[0].name or INPUT), alone=True),)
    by_name = {spec.name: spec for spec in given}
    if is_open and not named:
        return tuple(_laid_out(spec) for spec in given)
    foreign = [name for name in by_name if name not in [one.name for one in named]]
    if foreign:
        seen = f"it takes {', '.join(one.name for one in named)}, but no '{foreign[0]}'"
        raise UserError(where, seen, _give([one.name for one in named if one.default is one.empty]))
    last = max(place for place, one in enumerate(named) if one.name in by_name)
    missing = [
        one.name for place, one in enumerate(named)
        if one.name not in by_name and (one.default is one.empty or place < last)
    ]  # fmt: skip
    if missing:
        raise UserError(where, f"the sizes of its input '{missing[0]}' are not given", _give(missing))
    return tuple(_laid_out(by_name[one.name]) for one in named[: last + 1])


def _give(names: Sequence[str]) -> str:
    return (
        f"Give each: {' '.join(f'--shape {name}=1x16:int64' for name in names)} (sizes, and the dtype if not float32)"
    )


def _laid_out(spec: TensorSpec, *, alone: bool = False) -> TensorSpec:
    return msgspec.structs.replace(spec, layout=layout(spec.shape, spec.dtype, alone=alone))


def layout(shape: Sequence[int], dtype: str, *, alone: bool = False) -> Literal["NCHW", "NC", "any"]:
    """Whether it is an image, channels first, or a row of features. alone: a network's only input, of any channels."""
    if not shape or shape[0] != 1:
        return "any"
    if len(shape) == 4 and "float" in dtype and (alone or shape[1] in IMAGE_CHANNELS):
        return "NCHW"
    return "NC" if len(shape) == 2 else "any"


@contextmanager
def noting_tables(
    module: nn.Module, inputs: Sequence[TensorSpec], sizes: dict[str, int]
) -> Iterator[list[torch.Tensor]]:
    """Zeros for each input; while they run, notes the size of each embedding that one of them goes straight into."""
    import torch
    from torch import nn

    examples = zeros(inputs)
    hooks = []

    def note(layer: nn.Module, given: tuple[Any, ...]) -> None:
        for spec, example in zip(inputs, examples, strict=True):
            if given and isinstance(given[0], torch.Tensor) and given[0].data_ptr() == example.data_ptr():
                rows = int(layer.num_embeddings)  # type: ignore[arg-type]
                sizes[spec.name] = min(rows, sizes.get(spec.name, rows))

    for layer in module.modules():
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            hooks.append(layer.register_forward_pre_hook(note))
    try:
        yield examples
    finally:
        for hook in hooks:
            hook.remove()


def zeros(inputs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    import torch

    return [torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in inputs]


def named(answer: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """The arrays of what a network answers: tensors, or tuples, lists and dictionaries of them, with names."""
    import torch

    if isinstance(answer, torch.Tensor):
        classes = answer.ndim == 2 and answer.is_floating_point()
        return [(name or (CLASSES if classes else OUTPUT), answer)]
    if isinstance(answer, dict):
        parts = [(str(key), part) for key, part in answer.items()]
    elif hasattr(answer, "_asdict"):
        parts = list(answer._asdict().items())
    elif isinstance(answer, tuple | list):
        if len(answer) == 1:
            return named(answer[0], name)
        parts = [(str(place) if name else f"{OUTPUT}_{place}", part) for place, part in enumerate(answer)]
    else:
        return []
    return [found for key, part in parts for found in named(part, f"{name}_{key}" if name else key)]


def outputs(answer: Any, where: str) -> tuple[TensorSpec, ...]:
    """Raises UserError for a network that answers with something else than arrays."""
    found = named(answer)
    if not found:
        raise UserError(
            where, f"its output is a {type(answer).__name__}", "Let it return a tensor, or a tuple or dict of tensors"
        )
    specs = []
    for name, one in found:
        if one.ndim > MOST_AXES:
            raise UserError(where, f"its output '{name}' has {one.ndim} axes", f"Export takes up to {MOST_AXES}")
        dtype = str(one.dtype).removeprefix("torch.")
        shape = tuple(one.shape)
        specs.append(TensorSpec(name, shape, dtype, layout(shape, dtype, alone=len(found) == 1)))
    return tuple(specs)


def with_ports(module: nn.Module, outputs: Sequence[TensorSpec]) -> nn.Module:
    """The same network, answering with a tuple of arrays, or with the only one."""
    from torch import nn

    class Ports(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, *inputs: Any) -> Any:
            found = tuple(one for _, one in named(self.network(*inputs)))
            return found if len(found) > 1 else found[0]

    if len(outputs) == 1 and outputs[0].name in (CLASSES, OUTPUT):
        return module
    return Ports().eval()
