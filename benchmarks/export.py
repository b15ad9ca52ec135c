"""How fast INT8 files are against the float32 files of the same network, and how right.

Speed: four networks on images of 224 x 224, random weights, one thread, processor time; the files of a network and
format take turns in one process. `plain` is INT8 everywhere with the extremes as ranges; `float start` leaves the first
layers float, which export tries where integer activations are slow. With --checkpoints: what export makes of trained
networks, over the whole test split.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import networks, report
from edgebench.export import ExportOptions, export
from exporters import Scheme
from exporters.workers.messages import RaceTask
from exporters.workers.process import WorkerPool

# (network, format): how many times as fast as fp32 the fastest INT8 form has to be on a processor with VNNI.
GATES = {
    **{(network, "tflite"): 2.1 for network in ("resnet18", "mobilenetv2", "vgg16", "efficientnet-b0")},
    **{(network, "onnx"): 2.2 for network in ("resnet18", "mobilenetv2", "vgg16")},
    ("efficientnet-b0", "onnx"): 1.5,
}
NETWORKS = ("resnet18", "mobilenetv2", "vgg16", "efficientnet-b0")
SHAPE = (3, 224, 224)
PLUGINS = ("onnx", "tflite")
SPEED_HEADER = ("network", "format", "file", "processor ms", "times as fast as fp32", "asked for")
SPEED_WIDTHS = (15, 6, 22, 12, 20, 9)
ACCURACY_WIDTHS = (32, 11, 8, 8, 9, 6, 12, 12)
ACCURACY_HEADER = ("file", "bytes", "accuracy", "of fp32", "agreement", "images", "ranges", "float layers")


def speed(network: str, plugin: str, *, folder: Path, seconds: float) -> Iterator[tuple[list[str], bool]]:
    """Rows, and whether the fastest INT8 form is as fast as it has to be."""
    workers = WorkerPool(folder)
    names, files = zip(*int8_files(network, plugin, folder, workers), strict=True)
    latencies = workers.race(plugin, RaceTask(files, seconds))
    asked = GATES.get((network, plugin), 1.0)
    for name, latency in zip(names, latencies, strict=True):
        reached = latencies[0] / latency >= asked or latency > min(latencies)
        yield [network, plugin, name, f"{latency * 1e3:.2f}", f"{latencies[0] / latency:.2f}", f"{asked:.1f}"], reached


def int8_files(network: str, plugin: str, folder: Path, workers: WorkerPool) -> list[tuple[str, str]]:
    """(name, path): float32 first, then INT8 in every form that export would try."""
    job = networks.job(network, SHAPE, folder)
    with workers.start("convert", plugin) as converter:
        float32, int8 = (line.made for line in converter.answers(job))
        assert float32 and int8
        files = [("fp32", float32.file), ("int8, plain", int8.file)]
        for layers in int8.float_starts:
            scheme = Scheme(networks.PLAIN.ranges, layers)
            again = msgspec.structs.replace(job, precisions=("int8",), schemes=(scheme,))
            (line,) = converter.answers(again)
            assert line.made
            files.append((f"int8, float start of {len(layers)}", line.made.file))
    return files


def accuracy(source: Path, *, max_drop_points: float | None, folder: Path) -> Iterator[tuple[list[str], bool]]:
    formats = [f"{plugin}-int8" for plugin in PLUGINS]
    made = export(source, ExportOptions(formats=formats, max_drop_points=max_drop_points), out=folder / source.stem)
    for artifact in made.bundle.artifacts:
        found = artifact.parity
        assert found
        yield [
            artifact.name, f"{artifact.content.size_bytes:,}", f"{found.accuracy:.2%}",
            f"{found.parent_accuracy:.2%}", f"{found.top1_agreement:.2%}", f"{found.images:,}",
            artifact.notes["ranges"], artifact.notes.get("float_layers", "0").partition(";")[0],
        ], True  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="for the speed; none to leave it out")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each file")
    parser.add_argument("--checkpoints", nargs="*", type=Path, default=[], help="trained networks, for the accuracy")
    parser.add_argument("--max-drop", type=float, help="as for `edgebench export`")
    chosen = parser.parse_args(arguments)
    print(report.conditions(), flush=True)
    pairs = itertools.product(chosen.networks, PLUGINS)
    speeds = {f"{one}, {plugin}": partial(speed, one, plugin, seconds=chosen.seconds) for one, plugin in pairs}
    accuracies = {path.stem: partial(accuracy, path, max_drop_points=chosen.max_drop) for path in chosen.checkpoints}
    states = [
        *report.printed(SPEED_HEADER, SPEED_WIDTHS, speeds),
        *report.printed(ACCURACY_HEADER, ACCURACY_WIDTHS, accuracies),
    ]
    return 1 if None in states else 0 if all(states) else 3


if __name__ == "__main__":
    sys.exit(main())
