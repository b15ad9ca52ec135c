"""How fast the training loop is: images per second, against the loop that everybody writes.

Both train the same network on the same images with SGD, batch 128, crops and mirrors, on the device that is there.
The plain loop is torchvision's transforms on single images in a DataLoader with worker processes, float32, the loss
read at every step. Ours is `training.fit`. The time is that of the batches alone; an epoch of each comes before, and
does not count. With --small-batches also the case where Python is all the work: an MLP of 13,002 parameters, batch 4.

--goal: ResNet-18 (CIFAR stem) to 94 % of CIFAR-10's test images within a minute of training, on a GPU of 2024.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from edgebench.errors import UserError
from edgebench.networks import data, models, training
from edgebench.networks.data import Dataset
from edgebench.networks.training.recipes import Augment, Recipe, Sgd
from edgebench.progress import Silent
from edgebench.train import train

HEADER = ("network", "data set", "batch", "plain loop, images/s", "training.fit, images/s", "ratio", "s per epoch")
GOAL_ACCURACY = 0.94
GOAL_S = 60.0
SHIFT = 4


def recipe(batch: int, augment: Augment) -> Recipe:
    return Recipe("for timing", epochs=1, batch=batch, optimiser=Sgd(0.01, momentum=0.9), augment=augment)


def row(network: str, dataset: str, batch: int, augment: Augment, images: int, workers: int) -> list[str]:
    """images: so many of the training split are timed."""
    loaded = data.load(dataset)
    part = dataclasses.replace(loaded, train=data.balanced(loaded.train, min(images, len(loaded.train))))
    plain = plain_rate(network, part, batch, augment, workers)
    ours = our_rate(network, part, recipe(batch, augment))
    epoch_s = len(loaded.train) / ours
    return [
        network, dataset, str(batch), f"{plain:,.0f}", f"{ours:,.0f}", f"{ours / plain:.2f}", f"{epoch_s:.1f}",
    ]  # fmt: skip


def our_rate(network: str, images: Dataset, chosen: Recipe) -> float:
    """Images per second."""
    model = models.build(network, images.input_shape, len(images.class_names))

    for _ in range(2):
        cost = training.fit(model, images, chosen, seed=0, label="", progress=Silent()).cost
    assert cost is not None
    return cost.images / cost.seconds


def plain_rate(network: str, images: Dataset, batch: int, augment: Augment, workers: int) -> float:
    """Images per second."""
    import torch
    from torch.nn import functional

    where = training.device()
    model = models.build(network, images.input_shape, len(images.class_names)).to(where).train()
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    loader = _loader(images, batch, augment, workers)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        for inputs, labels in loader:
            loss = functional.cross_entropy(model(inputs.to(where)), labels.to(where))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
        seconds = time.perf_counter() - started
    return len(images.train) / seconds


def _loader(images: Dataset, batch: int, augment: Augment, workers: int) -> Any:
    import torch
    from torchvision.transforms import v2

    height, width = images.input_shape[1:]
    steps = [v2.ToImage()]
    if augment.shift:
        steps.append(v2.RandomCrop((height, width), padding=augment.shift))
    if augment.flip:
        steps.append(v2.RandomHorizontalFlip())
    steps += [
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(images.preprocessing.mean, images.preprocessing.std),
    ]  # fmt: skip
    change = v2.Compose(steps)

    class Images(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(images.train)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return change(images.train.images[index]), int(images.train.labels[index])

    return torch.utils.data.DataLoader(
        Images(), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0,
        pin_memory=training.device().type == "cuda",
    )  # fmt: skip


def goal() -> int:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        made = train("resnet18-cifar", "cifar10", recipe="cifar-fast", out=Path(folder))
        wall_s = time.perf_counter() - started
    run = made.about.training[0]
    assert run.cost is not None
    accuracy, seconds = made.about.metrics.accuracy, run.cost.seconds
    print(f"{run.device}: {accuracy:.2%} after {run.epochs} epochs in {seconds:.1f} s, {wall_s:.1f} s with all around")
    return 0 if accuracy >= GOAL_ACCURACY and seconds <= GOAL_S else 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--goal", action="store_true", help="train ResNet-18 to 94 %% instead; needs a GPU")
    parser.add_argument("--network", default="ultralight")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--images", type=int, default=45_000, help="of the training split, for each loop")
    parser.add_argument("--workers", type=int, default=2, help="processes of the plain loop's DataLoader")
    parser.add_argument("--small-batches", action="store_true", help="also an MLP at batch 4 on MNIST")
    arguments = parser.parse_args()
    from edgebench.networks.training import placement

    print(f"{report.conditions(('torch', 'numpy'))}, {placement.describe(training.device())}\n")
    try:
        if arguments.goal:
            return goal()
        augment = Augment(flip=True, shift=SHIFT)
        rows = [row(arguments.network, arguments.dataset, 128, augment, arguments.images, arguments.workers)]
        if arguments.small_batches:
            rows.append(row("mlp-small", "mnist", 4, Augment(), arguments.images, arguments.workers))
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    report.print_table(HEADER, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
