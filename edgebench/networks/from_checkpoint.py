"""Rebuilds the network that a checkpoint was saved from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.files import untrusted
from edgebench.networks import data, models, own_network
from edgebench.networks.data import Dataset
from edgebench.networks.own_network import code, output_layer, reshaped, weight_files
from edgebench.progress import Progress
from edgebench.schema.checkpoint import ADVICE, Checkpoint, Metadata
from edgebench.schema.history import PruningStep

if TYPE_CHECKING:
    import torch
    from torch import nn

OLD_CODE = "Run edgebench where its code is, as it was then, or train it again"


def rebuild(opened: Checkpoint) -> nn.Module:
    """The network with its weights, in evaluation mode; a pruned one in its pruned shapes. Raises BadFile, UserError.

    The user's own code is run in this process.
    """
    return filled(opened.about, opened.tensors(), str(opened.path))


def filled(about: Metadata, tensors: dict[str, torch.Tensor], where: str) -> nn.Module:
    """`rebuild` for tensors in memory. where: for errors."""
    if own_network.is_own(about.model):
        return _own(about, tensors, where).eval()
    return _built_in(about, tensors, where).eval()


def fresh(about: Metadata) -> nn.Module:
    """The network before any pruning, with any weights: only its shapes matter. Raises UserError."""
    import torch

    if own_network.is_own(about.model):
        network, classes = code.make(about.model, about.arguments, seed=about.seed), len(about.class_names)
        count = output_layer.outputs(about.model, network, about.input_shape)
        if count != classes:
            output_layer.replace(about.model, network, about.input_shape, count, classes)
        return network
    with torch.device("meta"):
        return models.build(about.model, about.input_shape, len(about.class_names), **about.arguments)


def sizes_changed(about: Metadata, network: nn.Module) -> reshaped.Reshaped:
    """How a network differs from what its code makes: for `Metadata.reshaped`."""
    import torch

    if own_network.is_own(about.model):
        return reshaped.differences(code.make(about.model, about.arguments, seed=about.seed), network)
    with torch.device("meta"):
        made = models.build(about.model, about.input_shape, len(about.class_names), **about.arguments)
    return reshaped.differences(made, network)


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


def _own(about: Metadata, tensors: dict[str, torch.Tensor], where: str) -> nn.Module:
    """Made for real, not on the meta device: code may compute while it makes the network."""
    try:
        network = code.make(about.model, about.arguments, seed=about.seed)
    except UserError as error:
        raise UserError(f"{where}: {error.where}", error.seen, OLD_CODE) from error
    try:
        reshaped.apply(network, about.reshaped, tensors, others=False)
    except (AttributeError, ValueError) as error:
        raise UserError(
            where, f"'{about.model}' makes another network now ({untrusted.shortened(error)})", OLD_CODE
        ) from error
    wrong = weight_files.misfits(tensors, network.state_dict())
    if wrong:
        raise UserError(where, f"its tensors do not fit what '{about.model}' makes now: {wrong}", OLD_CODE)
    weight_files.put(network, tensors)
    return network


def _built_in(about: Metadata, tensors: dict[str, torch.Tensor], where: str) -> nn.Module:
    """The dense network is built on the meta device, resized to the tensors in the file, then filled."""
    import torch

    try:
        with torch.device("meta"):
            model = models.build(about.model, about.input_shape, len(about.class_names), **about.arguments)
        if not about.reshaped:
            _infer_sizes(model, tensors)
        reshaped.apply(model, about.reshaped, tensors, others=True)
        _pad(model, about.pruning)
        model.load_state_dict(tensors, strict=True, assign=True)
    except UnknownName:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        seen = f"its tensors do not fit the model '{about.model}' ({untrusted.shortened(error)})"
        raise BadFile(where, seen, ADVICE) from error
    return model


def _infer_sizes(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Sizes of layers by the shapes of their tensors: checkpoints before schema 4 do not list them."""
    from torch import nn

    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(module, nn.Conv2d):
            outputs, inputs_per_group = tensors[prefix + "weight"].shape[:2]
            if module.groups > 1 and module.groups == module.in_channels:  # depthwise: one group per channel
                multiplier = module.out_channels // module.in_channels
                module.groups = outputs // multiplier
            module.in_channels, module.out_channels = inputs_per_group * module.groups, outputs
            module.kernel_size = tuple(tensors[prefix + "weight"].shape[2:])
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = tensors[prefix + "weight"].shape
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            name = "weight" if module.affine else "running_mean"
            module.num_features = tensors[prefix + name].shape[0]


def _pad(model: nn.Module, steps: tuple[PruningStep, ...]) -> None:
    """Kernels that were cut to their live taps have a different padding, which tensor shapes do not show."""
    for step in steps:
        cut = msgspec.convert(step.options.get("padding", {}), dict[str, tuple[int, int]])
        for name, padding in cut.items():
            model.get_submodule(name).padding = padding  # type: ignore[assignment]
