"""train: a data set and a network -> a checkpoint."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import UserError
from edgebench.files import output, replacing
from edgebench.networks import models, own_network, starting, training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.own_network.reshaped import Reshaped
from edgebench.networks.pruning import PruningRequest
from edgebench.networks.starting import NetworkOptions
from edgebench.networks.training import Costing, FitOptions, Recipe, branches
from edgebench.networks.training.state import SUFFIX
from edgebench.progress import Progress, Silent
from edgebench.prune import before_training
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint, WeightsOrigin
from edgebench.schema.preprocessing import Geometry

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.training.sparse import Sparsity
    from edgebench.schema.history import PruningStep, Size


@dataclass(frozen=True)
class TrainOptions:
    """What most trainings do without.

    arguments, weights, preprocessing, geometry: see `NetworkOptions`. teacher: the checkpoint to learn from, for
    recipes that distil. branches_from: checkpoints whose branches the network starts from. pruning: weights that are
    zero from the first step on.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    teacher: Path | None = None
    branches_from: Sequence[Path] = ()
    pruning: PruningRequest | None = None
    costing: Costing = Costing()
    preprocessing: str | None = None
    geometry: Geometry | None = None
    weights: str | None = None

    @property
    def network(self) -> NetworkOptions:
        return NetworkOptions(self.arguments, self.weights, self.preprocessing, self.geometry)


def train(
    model: str,
    dataset: str = "fashion-mnist-mini",
    *,
    recipe: str | Path | Recipe = "default",
    epochs: int | None = None,
    seed: int = 0,
    options: TrainOptions = TrainOptions(),  # noqa: B008  (it is frozen)
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Checkpoint:
    """Train a network and test it on the whole official test split.

    model: a name of `networks.models`, or `package.module:callable`, whose code is run in this process. recipe: a
    name, a file, or a recipe; epochs: replaces the recipe's number. out: see `checkpoint.new_path`; the default is
    `checkpoints/<model>.safetensors`. A training that was killed continues when it is called again: its progress is
    kept in a file beside the checkpoint.
    """
    path = checkpoint.new_path(own_network.plain_name(model), out)
    state = training.state_path(path)
    start = _prepared(model, dataset, training.recipe(recipe, epochs), seed, options, progress)
    images = start.images
    try:
        run = training.fit(
            start.network,
            images,
            start.recipe,
            seed=seed,
            label=f"train {path.stem}",
            progress=progress,
            options=FitOptions(start.zeros, start.teacher, state, start.parents or None, options.costing),
        )
    except KeyboardInterrupt:
        progress.say("Stopped. Run the same command again to continue after the last completed epoch.")
        raise

    made = checkpoint.save(
        start.network,
        checkpoint.Metadata(
            model=model,
            dataset=images.name if images.content else dataset,
            input_shape=images.input_shape,
            class_names=images.class_names,
            preprocessing=images.preprocessing,
            arguments=dict(options.arguments),
            weights=start.origin,
            reshaped=start.reshaped,
            training=(run,),
            pruning=start.pruned,
            size=start.size,
            metrics=training.evaluate(start.network, images.test, images.preprocessing),
        ),
        path,
    )
    replacing.remove(state)
    metrics = made.about.metrics
    progress.say(f"{path}: {metrics.accuracy:.2%} of {metrics.test_images} test images right")
    return made


def train_seeds(
    model: str,
    dataset: str = "fashion-mnist-mini",
    *,
    seeds: range,
    recipe: str | Path | Recipe = "default",
    epochs: int | None = None,
    options: TrainOptions = TrainOptions(),  # noqa: B008  (it is frozen)
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> list[Checkpoint]:
    """Train once with each seed, and report the mean and spread of the test accuracies.

    out: a folder for the checkpoints, `<model>-seed<number>.safetensors`. After a kill, the same call keeps the
    checkpoints that were finished and continues with the next one.
    """
    if out is not None and out.suffix == checkpoint.SUFFIX:
        raise UserError("--out", f"'{out}' is a single file, but {len(seeds)} will be written", "Name a folder")
    chosen = training.recipe(recipe, epochs)
    folder = checkpoint.FOLDER if out is None else out
    name = own_network.plain_name(model)
    notes = folder / f"{name}-seeds{SUFFIX}"
    request = repr((model, dataset, seeds, chosen, options))
    made = [checkpoint.load(path) for path in _finished(notes, request)]
    for seed in seeds[len(made) :]:
        place = checkpoint.new_path(f"{name}-seed{seed}", folder)
        made.append(train(model, dataset, recipe=chosen, seed=seed, options=options, out=place, progress=progress))
        output.write(notes, "\n".join([request, *(str(one.path) for one in made)]))
    notes.unlink(missing_ok=True)
    progress.say(f"{model}, {len(seeds)} seeds: {spread([one.about.metrics.accuracy for one in made])}")
    return made


def spread(accuracies: Sequence[float]) -> str:
    deviation = f", standard deviation {statistics.stdev(accuracies) * 100:.2f} points" if len(accuracies) > 1 else ""
    return (
        f"test accuracy {statistics.mean(accuracies):.2%}{deviation} ({min(accuracies):.2%} to {max(accuracies):.2%})"
    )


def _finished(notes: Path, request: str) -> list[Path]:
    """The checkpoints that an earlier call with the same request finished."""
    if not notes.exists():
        return []
    before, *paths = notes.read_text().splitlines()
    return [Path(path) for path in paths if Path(path).exists()] if before == request else []


@dataclass(frozen=True)
class _Start:
    """Where a training begins. parents: digests of the checkpoints that its branches come from."""

    network: nn.Module
    origin: WeightsOrigin | None
    reshaped: Reshaped
    images: Dataset
    recipe: Recipe
    size: Size
    parents: str
    zeros: Sparsity | None
    pruned: tuple[PruningStep, ...]
    teacher: nn.Module | None


def _prepared(model: str, dataset: str, recipe: Recipe, seed: int, options: TrainOptions, progress: Progress) -> _Start:
    """Raises for everything that can be refused before the long work."""
    images = starting.images_for(model, dataset, options.network, recipe, progress)
    begun = starting.network_for(model, images, options.network, seed, progress)
    network = begun.network
    size = models.count(network, images.input_shape)
    parents = [_fitting(checkpoint.load(path), images, "--branches-from") for path in options.branches_from]
    if parents:
        branches.adopt(network, parents)
    zeros: Sparsity | None = None
    pruned: tuple[PruningStep, ...] = ()
    if options.pruning:
        zeros, step = before_training(network, images.input_shape, options.pruning, seed=seed)
        pruned = (step,)
    teacher = None
    if options.teacher:
        teaching = _fitting(checkpoint.load(options.teacher), images, "--teacher")
        teacher = rebuild(teaching)
        recipe = _with_teacher(recipe, teaching)
    digests = "+".join(parent.digest for parent in parents)
    return _Start(network, begun.origin, begun.reshaped, images, recipe, size, digests, zeros, pruned, teacher)


def _fitting(source: Checkpoint, images: Dataset, option: str) -> Checkpoint:
    """The checkpoint, if its network takes the same images and has the same classes."""
    about = source.about
    for what, theirs, ours in (
        ("different classes", about.class_names, images.class_names),
        ("a different input shape", about.input_shape, images.input_shape),
        ("different preprocessing", about.preprocessing, images.preprocessing),
    ):
        if theirs != ours:
            raise UserError(
                f"{option} {source.path}",
                f"it has {what} from '{images.name}' with this recipe",
                "Use a checkpoint of the same data set, trained with the same `normalise` and `resize`",
            )
    return source


def _with_teacher(recipe: Recipe, teacher: Checkpoint) -> Recipe:
    if not recipe.distil:
        return recipe
    return msgspec.structs.replace(recipe, distil=msgspec.structs.replace(recipe.distil, teacher=teacher.digest))
