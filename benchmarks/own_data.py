"""A user's own images: what an export of 2,000 JPEGs takes, scoring against a torch DataLoader, memory of 50,000.

The images are made here: 224 x 224, JPEG, ten classes, in train/, val/ and test/.

    export     MobileNetV2 with random weights from a checkpoint to four files, without the cache
    scoring    test images through the same network in one process, edgebench and ImageFolder with DataLoader taking
               short turns (A B, B A, ...); the loader's processes, one for each core, wait while edgebench scores
    memory     50,000 test images, which are links to the 2,000: look at them, take the calibration set, score with a
               small network

Exit 3 if scoring is surely slower than the loader (the interval of the median ratio lies below 1), or 50,000 images
take more than 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.export_time import Cost, cost
from device_agents.python import series
from edgebench.errors import UserError
from edgebench.networks import data, models, training
from edgebench.schema import checkpoint
from edgebench.schema.history import Metrics

FORMATS = "onnx-fp32,onnx-int8,tflite-fp32,tflite-int8"
IMAGES = {"train": 1400, "val": 300, "test": 300}
MANY = 50_000
CLASSES = 10
SIZE = 224
BATCH = 26  # of both: what edgebench takes for images of this size
LARGEST_BYTES = 1_000_000_000
NETWORKS = ("mlp-small", "mobilenetv2")
# Images of a turn: seconds of each network.
TURN = {"mlp-small": 300, "mobilenetv2": 52}
HEADER = ("what", "network", "images", "seconds", "images/s", "peak memory, MB")
WIDTHS = (38, 14, 6, 7, 8, 15)


@dataclass(frozen=True)
class Ratio:
    """How many times as many images a second as the loader: the median of pairs of turns, and its interval of 95 %."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def make(root: Path) -> None:
    """JPEGs of a photograph's size in bytes: a coloured gradient for the class, waves, and noise."""
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    for split, count in IMAGES.items():
        for number in range(count):
            random = np.random.default_rng([number, len(split)])
            label = number % CLASSES
            waves = [np.sin(40 * random.random() * (rows + random.random() * columns)) for _ in range(3)]
            colours = random.random(3) * 60 + 12 * label
            pixels = np.stack(waves, -1) * 50 + colours + 60 * rows[..., None] + random.normal(0, 9, (SIZE, SIZE, 3))
            path = root / split / f"class-{label}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=88)


def links(root: Path, few: Path) -> None:
    """The same training images, and 50,000 test images that are links to all of them."""
    files = sorted(few.glob("*/*/*.jpg"))
    for split in ("train", "val"):
        for file in sorted((few / split).glob("*/*.jpg")):
            _link(file, root / split / file.parent.name / file.name)
    for number in range(MANY):
        file = files[number % len(files)]
        _link(file, root / "test" / file.parent.name / f"{number}.jpg")


def _link(file: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(file, path)


def untrained(name: str, images: Path, path: Path) -> Path:
    """A checkpoint with random weights: what is measured does not depend on them."""
    import torch

    dataset = data.load(str(images))
    torch.manual_seed(0)
    network = models.build(name, dataset.input_shape, len(dataset.class_names)).eval()
    about = checkpoint.Metadata(
        model=name,
        dataset=dataset.name,
        input_shape=dataset.input_shape,
        class_names=dataset.class_names,
        preprocessing=dataset.preprocessing,
        size=models.count(network, dataset.input_shape),
        metrics=Metrics(accuracy=0.0, loss=0.0, test_images=1),
    )
    return checkpoint.save(network, about, path).path


def look_and_score(images: str, network: str) -> tuple[float, int]:
    """Seconds of scoring, and how many images."""
    model = _model(network)
    dataset = data.load(images)
    dataset.calibration().decoded()
    started = time.perf_counter()
    answers = training.logits(model, dataset.test.images, dataset.preprocessing)
    return time.perf_counter() - started, len(answers)


@dataclass(frozen=True)
class Turn:
    """processor_s: of this process and its children, which other programs lengthen less."""

    wall_s: float
    processor_s: float


def compare_rates(images: str, network: str, turns: int) -> tuple[list[Turn], list[Turn]]:
    """Every turn: edgebench's, the loader's. The first of each is not counted: there processes start."""
    import torch
    from torchvision import datasets, transforms

    model, dataset = _model(network), data.load(images)
    count = TURN[network]
    index = list(range(0, len(dataset.test), max(1, len(dataset.test) // count)))[:count]
    some = dataset.test.take(index)
    change = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    folder = torch.utils.data.Subset(datasets.ImageFolder(f"{images}/test", change), index)
    loader = torch.utils.data.DataLoader(folder, BATCH, num_workers=os.cpu_count() or 1, persistent_workers=True)

    def ours() -> float:
        return float(training.logits(model, some.images, dataset.preprocessing).sum())

    def theirs() -> float:
        with torch.inference_mode():
            return float(sum(model(batch).sum() for batch, _ in loader))

    sums = [ours(), theirs()]
    if abs(sums[0] - sums[1]) > 1e-3 * abs(sums[1]):
        raise UserError(network, f"the sums of the answers differ: {sums[0]:g}, {sums[1]:g}", "Look why")
    taken: dict[Any, list[Turn]] = {ours: [], theirs: []}
    for turn in range(turns):
        for one in (ours, theirs) if turn % 2 else (theirs, ours):
            started, used = time.perf_counter(), _processor_s()
            one()
            taken[one].append(Turn(time.perf_counter() - started, _processor_s() - used))
    return taken[ours], taken[theirs]


def _processor_s() -> float:
    import psutil

    this = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (this, *this.children(recursive=True)))


def _model(network: str) -> Any:
    import torch

    torch.manual_seed(0)
    return models.build(network, (3, SIZE, SIZE), CLASSES).eval()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data", description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15, help="Pairs of turns of scoring.")
    parser.add_argument("--only", choices=("memory", "export", "scoring"), help="One of the three.")
    parser.add_argument("--score", nargs=3, metavar=("IMAGES", "NETWORK", "OUT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.score:
        images, network, out = chosen.score
        Path(out).write_text(json.dumps(look_and_score(images, network)))
        return 0
    print(report.conditions(("torch", "torchvision", "pillow", *report.RUNTIMES)))
    print(f"load {report.load():.1f} at the start\n", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["EDGEBENCH_CACHE"] = str(Path(folder) / "cache")
            return _all(Path(folder), chosen.turns, chosen.only)
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1


def _all(folder: Path, turns: int, only: str | None) -> int:
    few = folder / "few"
    make(few)
    table = report.Table(HEADER, WIDTHS)
    small, large = NETWORKS
    peak_bytes = 0
    ratios: dict[str, dict[str, Ratio]] = {}
    if only in (None, "memory"):
        links(folder / "many", few)
        peak_bytes = _memory(folder / "many", small, folder, table)
    if only in (None, "export"):
        network = untrained(large, few, folder / "network.safetensors")
        command = [sys.executable, "-m", "edgebench", "export", str(network), "--formats", FORMATS, "--no-cache"]
        made = cost([*command, "--out", str(folder / "bundle")])
        _row(table, "export to four files", large, sum(IMAGES.values()), made.seconds, made)
    if only in (None, "scoring"):
        ratios = {name: _scored(few, name, turns, table) for name in NETWORKS}
    print()
    for name, found in ratios.items():
        for unit, ratio in found.items():
            print(f"{name}: edgebench scores {ratio} times as many images a {unit} as the loader ({turns} pairs)")
    fast_enough = all(one["second"].high >= 1 for one in ratios.values())
    return 0 if fast_enough and peak_bytes <= LARGEST_BYTES else 3


def _memory(images: Path, network: str, folder: Path, table: report.Table) -> int:
    out = folder / "scored.json"
    most = cost([sys.executable, "-m", "benchmarks.own_data", "--score", str(images), network, str(out)])
    seconds, count = json.loads(out.read_text())
    _row(table, "look, calibrate, score 50,000", network, count, seconds, most)
    return most.peak_bytes


def _scored(images: Path, network: str, turns: int, table: report.Table) -> dict[str, Ratio]:
    ours, theirs = compare_rates(str(images), network, turns)
    for what, taken in (("score, edgebench", ours), ("score, ImageFolder and DataLoader", theirs)):
        _row(table, f"{what}, a turn", network, TURN[network], statistics.median(one.wall_s for one in taken), None)
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "second": _ratio([other.wall_s / one.wall_s for one, other in pairs]),
        "second of processor time": _ratio([other.processor_s / one.processor_s for one, other in pairs]),
    }


def _ratio(ratios: list[float]) -> Ratio:
    low, high = series.median_interval(ratios) or (min(ratios), max(ratios))
    return Ratio(statistics.median(ratios), low, high)


def _row(table: report.Table, what: str, network: str, count: int, seconds: float, most: Cost | None) -> None:
    rate = "" if what.startswith("export") else f"{count / seconds:,.0f}"
    memory = "" if most is None else f"{most.peak_bytes / 1e6:,.0f}"
    table.add([what, network, f"{count:,}", f"{seconds:.1f}", rate, memory])


if __name__ == "__main__":
    sys.exit(main())
