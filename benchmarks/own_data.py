"""A user's own images: what an export of 2,000 JPEGs takes, scoring against a torch DataLoader, memory of 50,000.

The images are made here: 224 x 224, JPEG, ten classes, in train/, val/ and test/.

    export     MobileNetV2 with random weights from a checkpoint to four files, without the cache
    scoring    the test split through the same network: edgebench against ImageFolder and DataLoader, in turns; the
               loader has a process for each core; both in their own process, imports not counted
    memory     50,000 test images, which are links to the 2,000: look at them, take the calibration set, score with a
               small network

Exit 3 if scoring is slower than the loader (median of the turns), or 50,000 images take more than 1 GB.
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
from pathlib import Path

from benchmarks import report
from benchmarks.export_time import Cost, cost
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
HEADER = ("what", "network", "images", "seconds", "images/s", "peak memory, MB")
WIDTHS = (38, 14, 6, 7, 8, 15)


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


def score(images: str, network: str, how: str) -> None:
    """In a process of its own: prints seconds and the sum of the answers, as JSON."""
    import torch

    torch.manual_seed(0)
    model = models.build(network, (3, SIZE, SIZE), CLASSES).eval()
    if how == "edgebench":
        dataset = data.load(images)
        dataset.calibration().decoded()
        started = time.perf_counter()
        answers = training.logits(model, dataset.test.images, dataset.preprocessing)
        count, total = len(answers), float(answers.sum())
    else:
        from torchvision import datasets, transforms

        change = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
        folder = datasets.ImageFolder(f"{images}/test", change)
        loader = torch.utils.data.DataLoader(folder, BATCH, num_workers=os.cpu_count() or 1)
        started = time.perf_counter()
        with torch.inference_mode():
            found = torch.cat([model(batch) for batch, _ in loader])
        count, total = len(found), float(found.sum())
    print(json.dumps([time.perf_counter() - started, count, total]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data", description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--score", nargs=4, metavar=("IMAGES", "NETWORK", "HOW", "OUT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.score:
        images, network, how, out = chosen.score
        with Path(out).open("w") as stream:
            sys.stdout = stream
            score(images, network, how)
        return 0
    print(report.conditions(("torch", "torchvision", "pillow", *report.RUNTIMES)))
    print(f"load {report.load():.1f} at the start\n", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["EDGEBENCH_CACHE"] = str(Path(folder) / "cache")
            return _all(Path(folder), chosen.turns)
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1


def _all(folder: Path, turns: int) -> int:
    few, many = folder / "few", folder / "many"
    make(few)
    links(many, few)
    table = report.Table(HEADER, WIDTHS)
    small, large = NETWORKS
    seconds, count, _, most = _child(many, small, "edgebench", folder)
    _row(table, "look, calibrate, score 50,000", small, count, seconds, most)
    ratios = {small: _scored(few, small, turns, folder, table)}
    network = untrained(large, few, folder / "network.safetensors")
    command = [sys.executable, "-m", "edgebench", "export", str(network), "--formats", FORMATS, "--no-cache"]
    made = cost([*command, "--out", str(folder / "bundle")])
    _row(table, "export to four files", large, sum(IMAGES.values()), made.seconds, made)
    ratios[large] = _scored(few, large, turns, folder, table)
    print()
    for name, ratio in ratios.items():
        print(f"{name}: edgebench scores {ratio:.2f} times as many images a second as the loader (median of {turns})")
    return 0 if min(ratios.values()) >= 1 and most.peak_bytes <= LARGEST_BYTES else 3


def _scored(images: Path, network: str, turns: int, folder: Path, table: report.Table) -> float:
    ratios = []
    for _ in range(turns):
        ours, count, total, most = _child(images, network, "edgebench", folder)
        _row(table, "score, edgebench", network, count, ours, most)
        theirs, count, other, most = _child(images, network, "loader", folder)
        _row(table, "score, ImageFolder and DataLoader", network, count, theirs, most)
        if abs(total - other) > 1e-3 * abs(other):
            raise UserError(network, f"the sums of the answers differ: {total:g}, {other:g}", "Look why")
        ratios.append(theirs / ours)
    return statistics.median(ratios)


def _child(images: Path, network: str, how: str, folder: Path) -> tuple[float, int, float, Cost]:
    out = folder / "answers.json"
    most = cost([sys.executable, "-m", "benchmarks.own_data", "--score", str(images), network, how, str(out)])
    seconds, count, total = json.loads(out.read_text())
    return seconds, count, total, most


def _row(table: report.Table, what: str, network: str, count: int, seconds: float, most: Cost) -> None:
    rate = "" if what.startswith("export") else f"{count / seconds:,.0f}"
    table.add([what, network, f"{count:,}", f"{seconds:.1f}", rate, f"{most.peak_bytes / 1e6:,.0f}"])


if __name__ == "__main__":
    sys.exit(main())
