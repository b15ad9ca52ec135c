"""A torch.nn.Module from the user's code, `package.module:callable`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.networks import named_function

if TYPE_CHECKING:
    import torch
    from torch import nn

ARGUMENTS = "Name a callable that needs no arguments, or give them: --argument NAME=VALUE"


def make(
    source: str, arguments: Mapping[str, Any] | None = None, *, seed: int = 0, folder: str | None = None
) -> nn.Module:
    """Import and call it; the network is float32, on the CPU. Raises UserError.

    seed: of the weights that it draws; torch's own random numbers are not moved. folder: first on the import path
    meanwhile; default: the current folder.
    """
    named_function.refuse_if_forbidden(source)
    import torch
    from torch import nn

    name, _, attribute = source.partition(":")
    with importing_from(folder or str(Path.cwd())), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            found: Any = importlib.import_module(name)
            for step in attribute.split("."):
                found = getattr(found, step)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise own_error(
                source, "it cannot be imported", error, "Run edgebench in a folder where `import` finds it"
            ) from error
        try:
            module = found(**(arguments or {}))
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            given = f" with {', '.join(arguments)}" if arguments else ""
            raise own_error(source, f"calling it{given} failed", error, ARGUMENTS) from error
    if not isinstance(module, nn.Module):
        raise UserError(
            source, f"calling it gives a {type(module).__name__}", "Name a callable that returns a torch.nn.Module"
        )
    module = module.cpu().float()
    _give_own_memory(module)
    return module


@contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """The folder is first on the path, as for a script; edgebench's own libraries are already imported by then."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def own_error(source: str, seen: str, error: BaseException, remedy: str) -> UserError:
    """An error in the user's code: its message, and where it was raised."""
    import traceback

    text = (str(error).strip().splitlines() or [""])[0][:300]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    is_theirs = bool(frames) and frames[-1].filename != __file__
    where = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if is_theirs else ""
    return UserError(source, f"{seen} ({type(error).__name__}: {text}{where})", remedy)


def _give_own_memory(module: nn.Module) -> None:
    """Copy buffers and parameters that are views of one row (`expand`), so that weights can be loaded into them."""

    def overlaps(tensor: torch.Tensor) -> bool:
        repeats = any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
        return repeats or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size()

    for layer in module.modules():
        for name, buffer in layer._buffers.items():
            if buffer is not None and overlaps(buffer):
                layer._buffers[name] = buffer.clone().contiguous()
        for parameter in layer.parameters(recurse=False):
            if overlaps(parameter):
                parameter.data = parameter.data.clone().contiguous()
