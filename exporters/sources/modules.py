"""A torch.nn.Module from the user's own code, `package.module:callable`. Only for worker processes: code is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import models
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.own_network import code, weight_files
from edgebench.schema import checkpoint
from exporters import IsolatedModel
from exporters.sources.model_summary import ModelSummary

if TYPE_CHECKING:
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
            raise code.own_error(
                isolated.source, f"the network does not take {'x'.join(map(str, shape))}", error, "Check --input"
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
    """With the weights that `look` found, or those of a checkpoint, in evaluation mode."""
    if isolated.kind == "checkpoint":
        return rebuild(checkpoint.load(Path(isolated.source)))
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
    return code.make(isolated.source, folder=isolated.folder)
