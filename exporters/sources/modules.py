"""A torch.nn.Module from the user's own code, `package.module:callable`. Only for worker processes: code is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import UserError
from edgebench.modelfile.feeding import written
from edgebench.networks import models
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.own_network import code, weight_files
from edgebench.schema import checkpoint
from exporters import IsolatedModel
from exporters.sources import module_ports
from exporters.sources.model_summary import ModelSummary

if TYPE_CHECKING:
    import torch
    from torch import nn


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
    inputs = module_ports.ordered(module, isolated.inputs, isolated.source)
    sizes: dict[str, int] = {}
    with torch.inference_mode(), module_ports.noting_tables(module, inputs, sizes) as examples:
        try:
            answer = module(*examples)
        except Exception as error:  # the user's code may raise anything
            taken = ", ".join(written(spec.shape) for spec in inputs)
            remedy = "Check --shape (or --input)"
            raise code.own_error(isolated.source, f"the network does not take {taken}", error, remedy) from error
    outputs = module_ports.outputs(answer, isolated.source)
    return ModelSummary(
        inputs=inputs,
        outputs=outputs,
        parameters=sum(parameter.numel() for parameter in parameters),
        macs=_macs(module, examples),
        table_sizes=sizes,
        zeros=sum(int((tensor == 0).sum()) for tensor in parameters),
        precision=_precision(parameters),
        weights=weights,
    )


def _precision(parameters: Sequence[nn.Parameter]) -> str:
    held = Counter[str]()
    for one in parameters:
        held[str(one.dtype).removeprefix("torch.")] += one.numel()
    return {"float16": "fp16", "bfloat16": "bf16"}.get(max(held, key=held.__getitem__), "fp32")


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


def network(isolated: IsolatedModel) -> Callable[[Sequence[Any]], list[Any]]:
    """A function from an array for each input to one for each output."""
    import torch

    module = load(isolated)

    def answers(given: Sequence[Any]) -> list[Any]:
        with torch.inference_mode():
            return [
                (one.float() if one.is_floating_point() else one).numpy()
                for _, one in module_ports.named(module(*map(torch.from_numpy, given)))
            ]

    return answers


def _macs(module: nn.Module, examples: Sequence[torch.Tensor]) -> int:
    """As `models.count`, of any inputs."""
    import torch
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    calls: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, given, output: calls.append((layer, given[0], output)))
        for layer in module.modules()
        if isinstance(layer, _ConvNd | nn.Linear)
    ]
    try:
        with torch.inference_mode():
            module(*examples)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(models.products(*call) for call in calls)


def _made(isolated: IsolatedModel) -> nn.Module:
    return code.make(isolated.source, msgspec.json.decode(isolated.arguments), folder=isolated.folder)
