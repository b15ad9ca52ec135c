"""train: a data set and a network's name -> a checkpoint."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import UserError
from edgebench.files import output, replacing
from edgebench.networks import data, models, training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.pruning import PruningRequest
from edgebench.networks.training import Costing, Recipe, branches
from edgebench.networks.training.state import SUFFIX
from edgebench.progress import Progress, Silent
from edgebench.prune import before_training
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.training.sparse import Sparsity
    from edgebench.schema.history import PruningStep


def train(
    model: str,
    dataset: str = "fashion-mnist-mini",
    *,
    recipe: str | Path | Recipe = "default",
    epochs: int | None = None,
    seed: int = 0,
    arguments: Mapping[str, Any] | None = None,
    teacher: Path | None = None,
    branches_from: Sequence[Path] = (),
    pruning: PruningRequest | None = None,
    costing: Costing = Costing(),  # noqa: B008  (it is frozen)
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Checkpoint:
    """Train a network and test it on the whole official test split.

    recipe: a name, a file, or one that is made already; epochs: instead of its number. arguments: of the network.
    teacher: checkpoint to learn from, for recipes that distil. branches_from: checkpoints whose branches the network
    starts from. pruning: weights that are zeros from the first step on. out: see `checkpoint.new_path`; without it the
    checkpoint is `checkpoints/<model>.safetensors`. A training that was killed goes on when it is called again: what it
    had reached is in a file beside the checkpoint.
    """
    chosen = training.recipe(recipe, epochs)
    path = checkpoint.new_path(model, out)
    state = training.state_path(path)
    images = data.load(dataset)
    images = dataclasses.replace(images, preprocessing=_preprocessing(images, chosen))
    network = _network(model, images, seed, arguments or {})
    size = models.count(network, images.input_shape)
    parents = [_fitting(checkpoint.load(source), images, "--branches-from") for source in branches_from]
    if parents:
        branches.adopt(network, parents)
    zeros: Sparsity | None = None
    pruned: tuple[PruningStep, ...] = ()
    if pruning:
        zeros, step = before_training(
            model, images.input_shape, len(images.class_names), pruning, arguments=arguments, seed=seed
        )
        pruned = (step,)
    tutor = None
    if teacher:
        taught_by = _fitting(checkpoint.load(teacher), images, "--teacher")
        tutor = rebuild(taught_by)
        chosen = _with_teacher(chosen, taught_by)

    try:
        run = training.fit(
            network,
            images,
            chosen,
            seed=seed,
            label=f"train {path.stem}",
            progress=progress,
            sparsity=zeros,
            teacher=tutor,
            state=state,
            parent="+".join(parent.digest for parent in parents) or None,
            costing=costing,
        )
    except KeyboardInterrupt:
        progress.say("Stopped. The same command again goes on after the last whole epoch.")
        raise

    made = checkpoint.save(
        network,
        checkpoint.Metadata(
            model=model,
            dataset=dataset,
            input_shape=images.input_shape,
            class_names=images.class_names,
            preprocessing=images.preprocessing,
            arguments=dict(arguments or {}),
            training=(run,),
            pruning=pruned,
            size=size,
            metrics=training.evaluate(network, images.test, images.preprocessing),
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
    seeds: int,
    seed: int = 0,
    recipe: str | Path | Recipe = "default",
    epochs: int | None = None,
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
    **options: Any,
) -> list[Checkpoint]:
    """Train with the seeds `seed`, `seed + 1`, ...; mean and spread of the test accuracies are said at the end.

    out: a folder; the checkpoints are `<model>-seed<number>.safetensors` there. options: as for `train`. After a kill
    the same call takes the checkpoints that were finished and goes on with the next one.
    """
    if out is not None and out.suffix == checkpoint.SUFFIX:
        raise UserError("--out", f"'{out}' is one file, and there will be {seeds}", "Name a folder")
    chosen = training.recipe(recipe, epochs)
    folder = checkpoint.FOLDER if out is None else out
    notes = folder / f"{model}-seeds{SUFFIX}"
    asked = repr((model, dataset, seed, seeds, chosen, sorted(options.items())))
    made = [checkpoint.load(path) for path in _finished(notes, asked)]
    for number in range(seed + len(made), seed + seeds):
        place = checkpoint.new_path(f"{model}-seed{number}", folder)
        made.append(train(model, dataset, recipe=chosen, seed=number, out=place, progress=progress, **options))
        output.write(notes, "\n".join([asked, *(str(one.path) for one in made)]))
    notes.unlink(missing_ok=True)
    progress.say(f"{model}, {seeds} seeds: {spread([one.about.metrics.accuracy for one in made])}")
    return made


def spread(accuracies: Sequence[float]) -> str:
    deviation = f", standard deviation {statistics.stdev(accuracies) * 100:.2f} points" if len(accuracies) > 1 else ""
    return (
        f"test accuracy {statistics.mean(accuracies):.2%}{deviation} ({min(accuracies):.2%} to {max(accuracies):.2%})"
    )


def _finished(notes: Path, asked: str) -> list[Path]:
    """The checkpoints that an earlier call for the very same thing has finished."""
    if not notes.exists():
        return []
    before, *paths = notes.read_text().splitlines()
    return [Path(path) for path in paths if Path(path).exists()] if before == asked else []


def _preprocessing(images: Dataset, recipe: Recipe) -> Preprocessing:
    channels = images.train.images.shape[3]
    mean, std = images.preprocessing.mean, images.preprocessing.std
    if recipe.normalise:
        mean, std = (
            values * channels if len(values) == 1 else values
            for values in (recipe.normalise.mean, recipe.normalise.std)
        )
    if not len(mean) == len(std) == channels:
        raise UserError(
            f"recipe '{recipe.name}'",
            f"`normalise` is for {len(mean)} channels, '{images.name}' has {channels}",
            "Give one number for all of them, or one for each",
        )
    return Preprocessing(mean, std, recipe.resize)


def _network(model: str, images: Dataset, seed: int, arguments: Mapping[str, Any]) -> nn.Module:
    """Built from the seed, without a trace on the caller's random numbers. Raises UserError if it does not fit."""
    import torch

    shape = images.input_shape
    try:
        models.describe(model, shape, len(images.class_names), **arguments)
    except TypeError as error:
        raise UserError(f"--argument of '{model}'", str(error), "See the arguments of its `build`") from error
    except (RuntimeError, ValueError) as error:
        raise UserError(
            model,
            f"it cannot take images of {'x'.join(map(str, shape))} ({str(error).strip().splitlines()[0]})",
            "Take a recipe with `resize`, another data set or another network",
        ) from error
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return models.build(model, shape, len(images.class_names), **arguments)


def _fitting(source: Checkpoint, images: Dataset, option: str) -> Checkpoint:
    """A checkpoint whose network sees the same images and gives the same classes."""
    about = source.about
    for what, theirs, ours in (
        ("classes", about.class_names, images.class_names),
        ("input shape", about.input_shape, images.input_shape),
        ("preprocessing", about.preprocessing, images.preprocessing),
    ):
        if theirs != ours:
            raise UserError(
                f"{option} {source.path}",
                f"it has another {what} than '{images.name}' with this recipe",
                "Name a checkpoint of the same data set, trained with the same `normalise` and `resize`",
            )
    return source


def _with_teacher(recipe: Recipe, teacher: Checkpoint) -> Recipe:
    if not recipe.distil:
        return recipe
    return msgspec.structs.replace(recipe, distil=msgspec.structs.replace(recipe.distil, teacher=teacher.digest))
