"""finetune: a checkpoint, or a network with weights of the user's own -> the same network, trained further.

Of a dense network it is the control to compare pruning with.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgebench.files import replacing
from edgebench.networks import pruning, starting, training
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.starting import StartingPoint
from edgebench.networks.training import Costing, FitOptions, Recipe
from edgebench.progress import Progress, Silent
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint


def finetune(
    source: Path | StartingPoint,
    *,
    recipe: str | Path | Recipe = "finetune",
    epochs: int | None = None,
    costing: Costing = Costing(),  # noqa: B008  (it is frozen)
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Checkpoint:
    """Continue training with the parent's data, seed and zeros, then test and save.

    source: a checkpoint, or a network that is none yet: one is made of it first (`starting.opened`). recipe: a
    name, a file, or a recipe; epochs: replaces the recipe's number. out: see `checkpoint.new_path`; the default is
    `checkpoints/<source>-finetuned.safetensors`.
    """
    tuning = training.recipe(recipe, epochs)
    parent, images = starting.opened(source, out, progress)
    path = checkpoint.new_path(f"{parent.name}-finetuned", out)
    about = parent.about
    network = rebuild(parent)
    dataset = starting.point(source).dataset
    state = training.state_path(path)
    zeros = pruning.keep_zeros(about.input_shape) if about.has_zeros else None
    run = training.fit(
        network,
        images,
        tuning,
        seed=about.seed,
        label=f"fine-tune {path.stem}",
        progress=progress,
        options=FitOptions(sparsity=zeros, state=state, parent=parent.digest, costing=costing),
    )
    metrics = training.evaluate(network, images.test, about.preprocessing)
    grown = msgspec.structs.replace(
        about,
        dataset=images.name if images.content else dataset or about.dataset,
        training=(*about.training, run),
        metrics=metrics,
        created=checkpoint.now(),
    )
    made = checkpoint.save(network, grown, path)
    replacing.remove(state)
    progress.say(f"{path}: accuracy {about.metrics.accuracy:.2%} -> {metrics.accuracy:.2%}")
    return made
