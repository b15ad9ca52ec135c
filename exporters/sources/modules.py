"""A torch.nn.Module from the user's own code, `package.module:callable`. Only for worker processes: code is run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import models
from exporters import IsolatedModel
from exporters.sources import weight_files
from exporters.sources.model_summary import ModelSummary

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.schema.arrays import Float32Array


def look(isolated: IsolatedModel) -> ModelSummary:
    """Import it, load its weights, run it once. Raises UserError for what export cannot start from."""
    import torch

    module = _made(isolated)
    weights = weight_files.fill(module, Path(isolated.weights), isolated.weights_key) if isolated.weights else ""
    torch.save(module.state_dict(), isolated.held)
    module.eval()
    _refuse_training(isolated, module)
    parameters = list(module.parameters())
    if not parameters:
        raise UserError(isolated.source, "the network has no parameters", "Return the network that was trained")
    shape = isolated.input_shape
    with torch.inference_mode():
        try:
            answer = module(torch.zeros(2, *shape))
        except Exception as error:  # the user's code may raise anything
            raise _own(
                isolated, f"the network does not take {'x'.join(map(str, shape))}", error, "Check --input"
            ) from error
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != 2:
        seen = f"a tensor of {list(answer.shape)}" if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise UserError(
            isolated.source,
            f"its output for two images is {seen}",
            "Export reads image classifiers: [N, C, H, W] in, [N, classes] out",
        )
    size = models.count(module, shape)  # type: ignore[arg-type]
    return ModelSummary(
        input_shape=shape,
        parameters=size.parameters,
        macs=size.macs,
        zeros=sum(int((tensor == 0).sum()) for tensor in parameters),
        weights=weights,
    )


def _refuse_training(isolated: IsolatedModel, module: nn.Module) -> None:
    """Raises UserError for layers that still behave as in training although the network is in evaluation mode."""
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.dropout import _DropoutNd

    for name, layer in module.named_modules():
        where = f"{type(layer).__name__} '{name}'"
        if isinstance(layer, _BatchNorm) and layer.running_mean is None:
            raise UserError(
                isolated.source,
                f"{where} keeps no running statistics: it normalises with those of the current images",
                "Create it with track_running_stats=True and train the network again",
            )
        if layer.training and isinstance(layer, _BatchNorm | _DropoutNd | nn.RReLU):
            raise UserError(
                isolated.source,
                f"{where} stays in training mode after eval()",
                "Let train() and eval() of your module call those of nn.Module",
            )


def load(isolated: IsolatedModel) -> nn.Module:
    """With the weights that `look` found, in evaluation mode."""
    module = _made(isolated)
    module.load_state_dict(weight_files.plain(Path(isolated.held)))
    return module.eval()


def network(isolated: IsolatedModel) -> Callable[[Float32Array], Float32Array]:
    import torch

    module = load(isolated)

    def answers(images: Float32Array) -> Float32Array:
        with torch.inference_mode():
            result: Float32Array = module(torch.from_numpy(images)).float().numpy()
        return result

    return answers


def _made(isolated: IsolatedModel) -> nn.Module:
    import torch
    from torch import nn

    name, _, attribute = isolated.source.partition(":")
    torch.manual_seed(0)
    with _importing_from(isolated.folder):
        try:
            make = getattr(importlib.import_module(name), attribute)
        except Exception as error:  # the user's code may raise anything
            raise _own(
                isolated, "it cannot be imported", error, "Run edgebench in a folder where `import` finds it"
            ) from error
        try:
            module = make()
        except Exception as error:  # the user's code may raise anything
            raise _own(isolated, "calling it failed", error, "Name a callable that needs no arguments") from error
    if not isinstance(module, nn.Module):
        raise UserError(
            isolated.source,
            f"calling it gives a {type(module).__name__}",
            "Name a callable that returns a torch.nn.Module",
        )
    module = module.cpu().float()
    _give_own_memory(module)
    return module


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


@contextmanager
def _importing_from(folder: str) -> Iterator[None]:
    """Put the folder first on the path, as for a script; edgebench's own libraries are already imported by then."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _own(isolated: IsolatedModel, seen: str, error: Exception, remedy: str) -> UserError:
    """An error in the user's code: its message, and where it was raised."""
    import traceback

    text = (str(error).strip().splitlines() or [""])[0][:300]
    last = traceback.extract_tb(error.__traceback__)[-1]
    return UserError(
        isolated.source,
        f"{seen} ({type(error).__name__}: {text}, {Path(last.filename).name} line {last.lineno})",
        remedy,
    )
