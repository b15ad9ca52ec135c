"""The training loop.

All data is held as tensors on the device that trains: no loader processes, and the same seed gives the same weights
on the same CPU (the order of images, their augmentation and the initial weights all come from it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgebench.checkpoint import Metrics
from edgebench.data import Dataset, Preprocessing, Split
from edgebench.errors import UserError
from edgebench.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.data import Float32Array, UInt8Array

EVALUATION_BATCH = 250


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AdamW under a one-cycle schedule (warm up, then down to nothing; arXiv:1708.07120).

    learning_rate: its peak. shift: images are moved by up to so many pixels. flip: half of them are mirrored.
    """

    epochs: int
    seed: int
    batch: int = 128
    learning_rate: float = 8e-3
    weight_decay: float = 5e-2
    label_smoothing: float = 0.05
    shift: int = 1
    flip: bool = False

    def recorded(self) -> dict[str, str | int | float | bool]:
        return {"optimiser": "adamw", "schedule": "one-cycle", **msgspec.structs.asdict(self)}


def device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(model: nn.Module, dataset: Dataset, recipe: Recipe, *, label: str, progress: Progress) -> None:
    """Train `model` in place on the training split; it ends in evaluation mode and on the CPU.

    The validation split is only looked at to tell the reader how it goes. Raises UserError if the loss is no number
    any more.
    """
    import torch
    from torch.nn import functional

    where = device()
    generator = torch.Generator().manual_seed(recipe.seed)
    images = torch.from_numpy(dataset.preprocessing.apply(dataset.train.images)).to(where)
    labels = torch.from_numpy(dataset.train.labels).to(where)
    black = torch.from_numpy(dataset.preprocessing.apply(dataset.train.images[:1] * 0))[0, :, :1, :1].to(where)

    # Channels last: twice as fast on a CPU for networks of this kind.
    model.to(where).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    batches = -(-len(labels) // recipe.batch)
    total = batches * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=max(total, 2))

    with torch.random.fork_rng(enabled=True), progress.step(label, total=total) as step:
        torch.manual_seed(recipe.seed)
        note = ""
        for epoch in range(recipe.epochs):
            model.train()
            losses = torch.zeros((), device=where)
            order = torch.randperm(len(labels), generator=generator)
            for start in range(0, len(labels), recipe.batch):
                chosen = order[start : start + recipe.batch]
                batch = images[chosen.to(where)]
                batch = _augment(batch, black, recipe, generator).contiguous(memory_format=torch.channels_last)
                target = labels[chosen.to(where)]
                loss = functional.cross_entropy(model(batch), target, label_smoothing=recipe.label_smoothing)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                losses += loss.detach()
                step.advance(1, note)
            mean_loss = float(losses) / batches
            if mean_loss != mean_loss:
                raise UserError(
                    label,
                    f"the loss is not a number after epoch {epoch + 1}",
                    f"Train with a lower learning rate than {recipe.learning_rate:g}",
                )
            validation = evaluate(model, dataset.validation, dataset.preprocessing)
            note = (
                f"epoch {epoch + 1}/{recipe.epochs}, loss {mean_loss:.3f}, "
                f"validation accuracy {validation.accuracy:.1%}"
            )
            step.advance(0, note)
    model.to("cpu").to(memory_format=torch.contiguous_format).eval()


def logits(model: nn.Module, images: UInt8Array, preprocessing: Preprocessing) -> Float32Array:
    """float32 [N, classes] for uint8 [N, H, W, C], on the device where the model is."""
    import numpy as np
    import torch

    training = model.training
    where = next(model.parameters()).device
    model.eval()
    answers = []
    with torch.inference_mode():
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = torch.from_numpy(preprocessing.apply(images[start : start + EVALUATION_BATCH]))
            answers.append(model(batch.to(where)).float().cpu().numpy())
    model.train(training)
    result: Float32Array = np.concatenate(answers)
    return result


def evaluate(model: nn.Module, split: Split, preprocessing: Preprocessing) -> Metrics:
    import numpy as np

    answers = logits(model, split.images, preprocessing).astype(np.float64)
    shifted = answers - answers.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(split)), split.labels]
    return Metrics(
        accuracy=float((answers.argmax(1) == split.labels).mean()),
        loss=float(losses.mean()),
        test_images=len(split),
    )


def _augment(batch: torch.Tensor, black: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    """Mirror and move each image by itself. black: [C, 1, 1], what a black pixel is after preprocessing."""
    import torch

    count, channels, height, width = batch.shape
    where = batch.device
    rows = torch.arange(height).expand(count, height)
    columns = torch.arange(width).expand(count, width)
    if recipe.flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    if recipe.shift:
        reach = 2 * recipe.shift + 1
        rows = rows + torch.randint(0, reach, (count, 1), generator=generator)
        columns = columns + torch.randint(0, reach, (count, 1), generator=generator)
        padded = black.expand(count, channels, height + 2 * recipe.shift, width + 2 * recipe.shift).clone()
        padded[:, :, recipe.shift : -recipe.shift, recipe.shift : -recipe.shift] = batch
        batch = padded
    image = torch.arange(count, device=where)[:, None, None]
    rows, columns = rows.to(where)[:, :, None], columns.to(where)[:, None, :]
    return batch.permute(0, 2, 3, 1)[image, rows, columns].permute(0, 3, 1, 2)
