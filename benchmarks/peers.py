"""edgebench's INT8 files against those that the tools make by themselves, at their defaults.

Speed: images of 224 x 224, random weights, one thread, processor time, the files of a network and format taking turns
in one process. Ours is the file that export would choose. Right: trained networks (--checkpoints), the same calibration
images, the whole test split. Exit 3 if ours is more than 2 % slower or 0.1 points less accurate than the best of them,
if INT8 loses more than 0.3 points, or if fp32 is not the network it came from.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import networks, peer_tools, report
from benchmarks.export import NETWORKS, PLUGINS, SHAPE, int8_files
from edgebench import checkpoint, data, training
from edgebench.data import Preprocessing
from edgebench.errors import UserError
from edgebench.export import export
from exporters import _parity as parity
from exporters._candidates import FASTER_BY
from exporters._process import Workers
from exporters._worker import Race, Run

STEPS = ("torch-onnx", "onnx-int8", "litert-torch", "tflite-int8", "onnx2tf")
SLOWER_BY = 1.02
LESS_ACCURATE_BY = 0.001
SPEED_HEADER = ("network", "format", "file", "processor ms", "times as fast as fp32", "against the best peer")
LARGEST_FP32_ERROR = 1e-4  # of the largest logit
LARGEST_DROP = 0.003
OURS = "edgebench"
FORMATS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
RIGHT_HEADER = (
    "network", "format", "file", "accuracy", "of the parent", "agreement", "largest difference",
    "points above the best peer",
)  # fmt: skip


def speed(network: str, *, folder: Path, seconds: float) -> Iterator[tuple[list[str], bool]]:
    """Rows, and whether each holds what is asked of it."""
    workers = Workers(folder)
    ours = {plugin: int8_files(network, plugin, folder, workers) for plugin in PLUGINS}
    job = networks.job(network, SHAPE, folder)
    assert job.preprocessing
    made = _peers(Path(job.source), np.load(job.calibration), job.preprocessing, folder)
    for plugin in PLUGINS:
        peers = [(name, path) for name, format_, path in made if format_ == plugin]
        files = [*ours[plugin], *peers]
        latencies = workers.race(plugin, Race(tuple(str(path) for _, path in files), seconds))
        times = {name: latency for (name, _), latency in zip(files, latencies, strict=True)}
        candidates = [name for name, _ in ours[plugin] if name != "fp32"]
        chosen = _chosen({name: times[name] for name in candidates})
        best = min(times[name] for name, _ in peers)
        for name in ("fp32", chosen, *(name for name, _ in peers)):
            called = f"edgebench ({name})" if name == chosen else name
            ratio = f"{times[name] / best:.2f}" if name == chosen else ""
            row = [network, plugin, called, f"{times[name] * 1e3:.2f}", f"{times['fp32'] / times[name]:.2f}", ratio]
            yield row, name != chosen or times[name] <= SLOWER_BY * best


def _chosen(times: dict[str, float]) -> str:
    """As export does where all agree equally well with the parent: the first, unless another is clearly faster."""
    plain = next(iter(times))
    fastest = min(times, key=lambda name: times[name])
    return fastest if times[fastest] < (1 - FASTER_BY) * times[plain] else plain


def _peers(
    source: Path, images: np.ndarray, preprocessing: Preprocessing, folder: Path
) -> list[tuple[str, str, Path]]:  # fmt: skip
    """(name, plugin that opens it, file)."""
    made = folder / "peers"
    made.mkdir()
    calibration = made / "calibration.npy"
    np.save(calibration, preprocessing.apply(images))
    for step in STEPS:
        ran = subprocess.run(peer_tools.command(step, source, calibration, made), capture_output=True, text=True)
        if ran.returncode:
            raise UserError(f"peer step {step}", ran.stderr[-500:], "pip install 'edgebench[export,tensorflow]'")
    return [(name, plugin, made / file) for name, plugin, file in peer_tools.INT8]


def right(source: Path, *, max_drop: float | None, folder: Path) -> Iterator[tuple[list[str], bool]]:
    opened = checkpoint.load(source)
    images = data.load(opened.about.dataset)
    preprocessing = opened.about.preprocessing
    workers = Workers(folder)
    stored = folder / "test.npy"
    np.save(stored, images.test.images)
    reference = training.logits(opened.build(), images.test.images, preprocessing)
    parent = parity.accuracy(reference, images.test.labels)
    made = export(source, formats=FORMATS, max_drop=max_drop, out=folder / source.stem)
    files = [(f"{OURS} {one.precision}", one.format, made.path / one.content.file) for one in made.bundle.artifacts]
    files += _peers(source, images.calibration().images, preprocessing, folder)
    found: list[tuple[str, str, float, float, float]] = []
    for name, plugin, path in files:
        out = folder / "answers.npy"
        workers.run(plugin, Run(str(path), str(stored), preprocessing, str(out)))
        answers = np.load(out)
        error = float(abs(answers - reference).max() / abs(reference).max())
        accuracy = parity.accuracy(answers, images.test.labels)
        found.append((name, plugin, accuracy, parity.agreement(answers, reference), error))
    for name, plugin, accuracy, agreement, error in found:
        best = max(one[2] for one in found if one[1] == plugin and not one[0].startswith(OURS))
        above, holds = "", True
        if name == f"{OURS} fp32":
            holds = agreement == 1 and error <= LARGEST_FP32_ERROR
        elif name == f"{OURS} int8":
            above = f"{(accuracy - best) * 100:+.2f}"
            holds = accuracy >= best - LESS_ACCURATE_BY and accuracy >= parent - LARGEST_DROP
        row = [source.stem, plugin, name, f"{accuracy:.2%}", f"{parent:.2%}", f"{agreement:.2%}", f"{error:.1e}", above]
        yield row, holds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="for the speed; none to leave it out")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each file")
    parser.add_argument("--checkpoints", nargs="*", type=Path, default=[], help="trained networks, for the accuracy")
    parser.add_argument("--max-drop", type=float, help="as for `edgebench export`")
    chosen = parser.parse_args(arguments)
    print(report.conditions() + "\n", flush=True)
    held = True
    try:
        tables = (
            (SPEED_HEADER, [partial(speed, name, seconds=chosen.seconds) for name in chosen.networks]),
            (RIGHT_HEADER, [partial(right, path, max_drop=chosen.max_drop) for path in chosen.checkpoints]),
        )
        for header, makers in tables:
            rows = []
            for make in makers:
                with tempfile.TemporaryDirectory() as folder:
                    rows += list(make(folder=Path(folder)))
            if rows:
                report.print_table(header, [row for row, _ in rows])
                held = held and all(holds for _, holds in rows)
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    return 0 if held else 3


if __name__ == "__main__":
    sys.exit(main())
