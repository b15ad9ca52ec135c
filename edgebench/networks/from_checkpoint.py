"""Rebuilds the network that a checkpoint was saved from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.files import untrusted
from edgebench.networks import data, models
from edgebench.networks.data import Dataset
from edgebench.progress import Progress
from edgebench.schema.checkpoint import ADVICE, Checkpoint
from edgebench.schema.history import PruningStep

if TYPE_CHECKING:
    import torch
    from torch import nn


def rebuild(opened: Checkpoint) -> nn.Module:
    """The network with its weights, in evaluation mode; a pruned one in its pruned shapes. Raises BadFile.

    The dense network is built on the meta device, resized to the tensors in the file, then filled.
    """
    import torch

    tensors = opened.tensors()
    about = opened.about
    try:
        with torch.device("meta"):
            model = models.build(about.model, about.input_shape, len(about.class_names), **about.arguments)
        _resize(model, tensors)
        _pad(model, about.pruning)
        model.load_state_dict(tensors, strict=True, assign=True)
    except UnknownName:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        seen = f"its tensors do not fit the model '{about.model}' ({untrusted.shortened(error)})"
        raise BadFile(str(opened.path), seen, ADVICE) from error
    return model.eval()


def images_of(opened: Checkpoint, dataset: str | None, progress: Progress) -> Dataset:
    """The data set that it was trained on, or another `dataset` with its classes, prepared for it. Raises UserError."""
    about = opened.about
    images = data.prepared(dataset or about.dataset, about.preprocessing, progress=progress)
    if (images.class_names, images.input_shape) != (about.class_names, about.input_shape):
        raise UserError(
            str(opened.path),
            f"it was trained on different images or classes than '{images.name}' has",
            f"Its images are {'x'.join(map(str, about.input_shape))} (channels, height, width), its classes "
            f"{', '.join(about.class_names[:20])}; use such data, or train it again",
        )
    return images


def _resize(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Give every layer the shapes of its tensors: pruned layers are smaller than the dense network's."""
    import torch
    from torch import nn

    def reshape(module: nn.Module, prefix: str) -> None:
        for name, parameter in list(module.named_parameters(recurse=False)):
            shape = tensors[prefix + name].shape
            if shape != parameter.shape:
                setattr(module, name, nn.Parameter(torch.empty(shape, device="meta")))
        for name, buffer in list(module.named_buffers(recurse=False)):
            if prefix + name in tensors and tensors[prefix + name].shape != buffer.shape:
                setattr(module, name, torch.empty(tensors[prefix + name].shape, device="meta", dtype=buffer.dtype))

    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(module, nn.Conv2d):
            outputs, inputs_per_group = tensors[prefix + "weight"].shape[:2]
            if module.groups > 1 and module.groups == module.in_channels:  # depthwise: one group per channel
                multiplier = module.out_channels // module.in_channels
                module.groups = outputs // multiplier
            module.in_channels, module.out_channels = inputs_per_group * module.groups, outputs
            module.kernel_size = tuple(tensors[prefix + "weight"].shape[2:])
            reshape(module, prefix)
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = tensors[prefix + "weight"].shape
            reshape(module, prefix)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            name = "weight" if module.affine else "running_mean"
            module.num_features = tensors[prefix + name].shape[0]
            reshape(module, prefix)


def _pad(model: nn.Module, steps: tuple[PruningStep, ...]) -> None:
    """Kernels that were cut to their live taps have a different padding, which tensor shapes do not show."""
    for step in steps:
        cut = msgspec.convert(step.options.get("padding", {}), dict[str, tuple[int, int]])
        for name, padding in cut.items():
            model.get_submodule(name).padding = padding  # type: ignore[assignment]
