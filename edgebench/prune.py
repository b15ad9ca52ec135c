"""prune: a checkpoint -> a smaller checkpoint, fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgebench import checkpoint, data, models, plugins, pruning, training
from edgebench.checkpoint import Checkpoint, PruningStep
from edgebench.errors import UserError
from edgebench.progress import Progress, Silent

# Fine-tuning starts from weights that are nearly right: a lower peak than training from nothing.
FINETUNE_LEARNING_RATE = 4e-3


@dataclass(frozen=True)
class Pruned:
    """The new checkpoint and what it took. size_bytes: of the two files."""

    checkpoint: Checkpoint
    step: PruningStep
    accuracy_before_finetune: float
    size_bytes_before: int
    size_bytes_after: int

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    def __str__(self) -> str:
        before, after = self.step.before, self.step.after
        metrics = self.checkpoint.about.metrics
        return (
            f"{self.path}: {before.parameters:,} -> {after.parameters:,} parameters, "
            f"{before.macs:,} -> {after.macs:,} MACs, {self.size_bytes_before:,} -> {self.size_bytes_after:,} bytes, "
            f"accuracy {self.step.parent_accuracy:.2%} -> {self.accuracy_before_finetune:.2%} (cut) "
            f"-> {metrics.accuracy:.2%} (fine-tuned)"
        )


def prune(
    source: Path,
    *,
    method: str = "channels",
    ratio: float = 0.3,
    finetune: int = 5,
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Pruned:
    """Remove a part of a network physically, fine-tune for `finetune` epochs, test, save.

    out: see `checkpoint.new_path`; without it the checkpoint is `checkpoints/<source>-pruned.safetensors`.
    Raises UserError if the method left parameters and MACs as they were: that is not structured pruning.
    """
    if not 0 < ratio < 1:
        raise UserError("--ratio", f"{ratio:g} is not between 0 and 1", "Give the part to remove, for example 0.3")
    if finetune < 0:
        raise UserError("--finetune", f"{finetune} epochs", "Give 0 or more")
    plugins.load("edgebench.pruning", method, kind="pruning method")
    parent = checkpoint.load(source)
    path = checkpoint.new_path(f"{parent.name}-pruned", out)
    about = parent.about
    images = data.load(about.dataset)
    network = parent.build()

    before = models.count(network, about.input_shape)
    pruning.apply(method, network, ratio, about.input_shape)
    after = models.count(network, about.input_shape)
    if after.parameters >= before.parameters or after.macs >= before.macs:
        raise UserError(
            str(source),
            f"pruning method '{method}' at ratio {ratio:g} left {after.parameters:,} of {before.parameters:,} "
            f"parameters and {after.macs:,} of {before.macs:,} MACs, so nothing was removed structurally",
            "Give a higher --ratio, or a network with more channels",
        )
    cut = training.evaluate(network, images.test, about.preprocessing)

    recipe = dict(about.recipe)
    if finetune:
        seed = int(about.recipe.get("seed", 0))
        tuning = training.Recipe(epochs=finetune, seed=seed, learning_rate=FINETUNE_LEARNING_RATE, flip=images.flip)
        training.fit(network, images, tuning, label=f"fine-tune {path.stem}", progress=progress)
        recipe = tuning.recorded() | {"split_sha256": data.split_hash(images)}
    step = PruningStep(
        method=method,
        ratio=ratio,
        finetune_epochs=finetune,
        before=before,
        after=after,
        parent=parent.digest,
        parent_accuracy=about.metrics.accuracy,
    )
    made = checkpoint.save(
        network,
        msgspec.structs.replace(
            about,
            recipe=recipe,
            size=after,
            metrics=training.evaluate(network, images.test, about.preprocessing) if finetune else cut,
            pruning=(*about.pruning, step),
            created=checkpoint.now(),
        ),
        path,
    )
    result = Pruned(made, step, cut.accuracy, source.stat().st_size, path.stat().st_size)
    progress.say(str(result))
    return result
