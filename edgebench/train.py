"""train: a data set and a network's name -> a checkpoint."""

from __future__ import annotations

from pathlib import Path

from edgebench import checkpoint, data, models, training
from edgebench.errors import UserError
from edgebench.progress import Progress, Silent

EPOCHS = 30


def train(
    model: str,
    dataset: str = "fashion-mnist-mini",
    *,
    epochs: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> checkpoint.Checkpoint:
    """Train a network from nothing and test it on the whole official test split.

    out: see `checkpoint.new_path`; without it the checkpoint is `checkpoints/<model>.safetensors`.
    """
    import torch

    epochs = EPOCHS if epochs is None else epochs
    if epochs < 1:
        raise UserError("--epochs", f"{epochs} is no training", "Give 1 or more")
    path = checkpoint.new_path(model, out)
    images = data.load(dataset)
    recipe = training.Recipe(epochs=epochs, seed=seed, flip=images.flip)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = models.build(model, images.input_shape, len(images.class_names))
    training.fit(network, images, recipe, label=f"train {model}", progress=progress)

    made = checkpoint.save(
        network,
        checkpoint.Metadata(
            model=model,
            dataset=dataset,
            input_shape=images.input_shape,
            class_names=images.class_names,
            preprocessing=images.preprocessing,
            recipe=recipe.recorded() | {"split_sha256": data.split_hash(images)},
            size=models.count(network, images.input_shape),
            metrics=training.evaluate(network, images.test, images.preprocessing),
        ),
        path,
    )
    metrics = made.about.metrics
    progress.say(f"{path}: {metrics.accuracy:.2%} of {metrics.test_images} test images right")
    return made
