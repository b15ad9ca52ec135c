"""Where a training begins: images, and a network that takes them, with random weights or with those of a file."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import BadFile, UserError
from edgebench.networks import data, models, normalisation, own_network, training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import images_of
from edgebench.networks.own_network import code, imagenet, output_layer, weight_files
from edgebench.networks.own_network.reshaped import Reshaped
from edgebench.progress import Progress
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint, Metadata, WeightsOrigin
from edgebench.schema.history import Metrics
from edgebench.schema.preprocessing import Geometry, Preprocessing

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.training import Recipe


@dataclass(frozen=True)
class NetworkOptions:
    """What may be given for a network that is not a checkpoint.

    arguments: of the built-in network or of the callable. weights: FILE, FILE:KEY, or `imagenet`. preprocessing: a name
    of `networks.normalisation`, instead of the data set's and the recipe's; geometry: how images get their size.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    preprocessing: str | None = None
    geometry: Geometry | None = None


@dataclass(frozen=True)
class StartingPoint:
    """What the user named: a checkpoint's path, the name of a built-in network, or `package.module:callable`.

    dataset: for a checkpoint in place of the one that it was trained on, with the same classes.
    """

    name: str
    dataset: str | None = None
    options: NetworkOptions = NetworkOptions()

    @property
    def is_checkpoint(self) -> bool:
        return Path(self.name).exists() or not (own_network.is_own(self.name) or self.name in models.names())


@dataclass(frozen=True)
class StartingNetwork:
    """origin: of its weights. reshaped: see `Metadata`."""

    network: nn.Module
    origin: WeightsOrigin | None
    reshaped: Reshaped


def point(source: Path | StartingPoint) -> StartingPoint:
    return source if isinstance(source, StartingPoint) else StartingPoint(str(source))


def opened(source: Path | StartingPoint, out: Path | None, progress: Progress) -> tuple[Checkpoint, Dataset]:
    """A checkpoint and its images. One is made of a network that is none yet, with the accuracy that it has now.

    out: where the next checkpoint goes: that of the network is put beside it, `<name>.safetensors`, or found there if
    an earlier call made the same. Raises UserError, BadFile.
    """
    start = point(source)
    if start.is_checkpoint:
        parent = checkpoint_of(start)
        return parent, images_of(parent, start.dataset, progress)
    images, begun = named(start, progress)
    about = described(start, images, begun)
    folder = out.parent if out is not None and out.suffix == checkpoint.SUFFIX else out
    before = _made_before(start, about, begun.network, folder)
    if before is not None:
        progress.say(f"{before.path}: made of the same network before")
        return before, images
    path = checkpoint.new_path(own_network.plain_name(start.name), folder)
    with progress.step(f"test {start.name} on {len(images.test):,} images"):
        metrics = training.evaluate(begun.network, images.test, images.preprocessing)
    made = checkpoint.save(begun.network, msgspec.structs.replace(about, metrics=metrics), path)
    progress.say(f"{path}: {start.name} as it is, {metrics.accuracy:.2%} of {metrics.test_images:,} test images right")
    return made, images


def checkpoint_of(start: StartingPoint) -> Checkpoint:
    """Raises UserError for options of networks that are not checkpoints, and for files that are not checkpoints."""
    path, options = Path(start.name), start.options
    for option, value in (
        ("--weights", options.weights),
        ("--argument", options.arguments),
        ("--preprocessing", options.preprocessing),
        ("--resize and --crop", options.geometry),
    ):
        if value:
            raise UserError(option, f"{path} is a checkpoint, which has its own", "Leave the option out")
    if path.suffix in weight_files.PICKLED and path.is_file():
        raise BadFile(
            str(path),
            f"'{path.suffix}' files hold weights, but no network",
            f"Name what makes the network: package.module:callable --weights {path}",
        )
    return checkpoint.load(path)


def named(start: StartingPoint, progress: Progress, *, other_classes: bool = True) -> tuple[Dataset, StartingNetwork]:
    """A network that is not a checkpoint, and its images. Raises UserError if one of them is not fully named.

    other_classes: see `network_for`.
    """
    if start.dataset is None:
        raise UserError(
            start.name, "it does not say which data it is for", "Name the data: --dataset photos/, --dataset cifar10"
        )
    if start.options.weights is None and not own_network.is_own(start.name):
        raise UserError(
            start.name,
            "without weights it is a network that was never trained",
            f"Add --weights FILE or --weights imagenet, or train it: edgebench train {start.name}",
        )
    images = images_for(start.name, start.dataset, start.options, None, progress)
    return images, network_for(start.name, images, start.options, 0, progress, other_classes=other_classes)


def described(start: StartingPoint, images: Dataset, begun: StartingNetwork) -> Metadata:
    """Without its accuracy."""
    assert start.dataset is not None
    return Metadata(
        model=start.name,
        dataset=images.name if images.content else start.dataset,
        input_shape=images.input_shape,
        class_names=images.class_names,
        preprocessing=images.preprocessing,
        arguments=dict(start.options.arguments),
        weights=begun.origin,
        reshaped=begun.reshaped,
        size=models.count(begun.network, images.input_shape),
        metrics=Metrics(accuracy=0, loss=0, test_images=0),
    )


def _made_before(start: StartingPoint, about: Metadata, network: nn.Module, folder: Path | None) -> Checkpoint | None:
    """The checkpoint of an earlier call, if it holds the same weights of the same network for the same data."""
    import torch

    path = (folder or checkpoint.FOLDER) / f"{own_network.plain_name(start.name)}{checkpoint.SUFFIX}"
    if not path.is_file():
        return None
    try:
        found = checkpoint.load(path)
        tensors = found.tensors()
    except BadFile:
        return None
    theirs, ours = found.about, network.state_dict()
    same = msgspec.structs.replace(theirs, metrics=about.metrics, created=about.created, edgebench=about.edgebench)
    if same != about or tensors.keys() != ours.keys():
        return None
    return found if all(torch.equal(tensor, ours[name]) for name, tensor in tensors.items()) else None


def images_for(model: str, dataset: str, options: NetworkOptions, recipe: Recipe | None, progress: Progress) -> Dataset:
    """With the preprocessing of the options, of the weights, of the recipe or of the data set, in this order."""
    published = None
    if options.weights == imagenet.NAME:  # before the data is looked at, which may take minutes
        published, _ = imagenet.find(model, imagenet.published(model), progress)
    geometry, resize, name = options.geometry, recipe.resize if recipe else None, options.preprocessing
    if published is not None and name is None:
        name = imagenet.NAME
    if published is not None and geometry is None and resize is None:
        if not data.is_own(dataset):  # stretched when they are needed: there are too many for memory
            resize = published.geometry.crop
        else:
            geometry = published.geometry
    images = data.prepared(dataset, geometry=geometry, channels=normalisation.channels_of(name), progress=progress)
    prepared = _preprocessing(images, recipe, resize)
    colours = images.train.images.shape[3]
    fits = normalisation.channels_of(name) in (None, colours)
    if name is not None and (fits or options.preprocessing is not None):
        prepared = normalisation.named(name, prepared)
    if published is not None:
        progress.say(f"--weights {imagenet.NAME}: images are prepared as {prepared}")
    return dataclasses.replace(images, preprocessing=prepared)


def _preprocessing(images: Dataset, recipe: Recipe | None, resize: tuple[int, int] | None) -> Preprocessing:
    channels = images.train.images.shape[3]
    mean, std = images.preprocessing.mean, images.preprocessing.std
    if recipe and recipe.normalise:
        mean, std = (
            values * channels if len(values) == 1 else values
            for values in (recipe.normalise.mean, recipe.normalise.std)
        )
    if recipe and not len(mean) == len(std) == channels:
        raise UserError(
            f"recipe '{recipe.name}'",
            f"`normalise` is for {len(mean)} channels, '{images.name}' has {channels}",
            "Give one number for all channels, or one for each",
        )
    return Preprocessing(mean, std, resize, images.preprocessing.geometry)


def network_for(
    model: str, images: Dataset, options: NetworkOptions, seed: int, progress: Progress, *, other_classes: bool = True
) -> StartingNetwork:
    """Built in or of the user's own code, with the weights that were named; the caller's random numbers are untouched.

    other_classes: a network or weights for another number of classes get a new output layer, with random weights.
    Raises UserError if it does not fit the images, BadFile for weights of another network.
    """
    import torch

    shape, classes = images.input_shape, len(images.class_names)
    with torch.random.fork_rng(devices=[]):
        if own_network.is_own(model):
            network = code.make(model, options.arguments, seed=seed)
            count = output_layer.outputs(model, network, shape)
            output_layer.check_training(model, network, shape)
        else:
            network, count = _built_in(model, images, seed, options.arguments), classes
        origin = None
        if options.weights is not None:
            found = output_layer.find(network, shape, count) if other_classes else None
            origin = _weights(model, network, options.weights, found.name if found else "", progress)
            if origin.note:
                progress.say(f"{origin.file}: {origin.note}")
        if count == classes:
            return StartingNetwork(network, origin, {})
        if not other_classes:
            raise UserError(
                model,
                f"it has {count:,} outputs, '{images.name}' has {classes:,} classes",
                "Use data with the network's classes, or train it for these: edgebench train",
            )
        torch.manual_seed(seed)
        name = output_layer.replace(model, network, shape, count, classes)
    progress.say(f"{model}: output layer '{name}' replaced, {count:,} -> {classes:,} classes, with random weights")
    kind = "out_features" if hasattr(network.get_submodule(name), "out_features") else "out_channels"
    return StartingNetwork(network, origin, {name: {kind: classes}})


def _weights(model: str, network: nn.Module, named: str, output: str, progress: Progress) -> WeightsOrigin:
    if named != imagenet.NAME:
        path, key = weight_files.named(Path(named))
        note = weight_files.fill(network, path, key, output=output)
        return WeightsOrigin(path.name, _sha256(path), key, note=note)
    one, path = imagenet.find(model, imagenet.published(model), progress)
    note = imagenet.fill(network, path, one, output)
    return WeightsOrigin(path.name, _sha256(path), url=one.url, note=note)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _built_in(model: str, images: Dataset, seed: int, arguments: Mapping[str, Any]) -> nn.Module:
    import torch

    shape = images.input_shape
    try:
        models.describe(model, shape, len(images.class_names), **arguments)
    except TypeError as error:
        raise UserError(f"--argument of '{model}'", str(error), "See the arguments of its `build` function") from error
    except (RuntimeError, ValueError) as error:
        raise UserError(
            model,
            f"it cannot take images of {'x'.join(map(str, shape))} ({str(error).strip().splitlines()[0]})",
            "Use a recipe with `resize`, another data set or another network",
        ) from error
    torch.manual_seed(seed)
    return models.build(model, shape, len(images.class_names), **arguments)
