"""How right a trained network's files are: ours, and those that the tools make at their defaults from the same images.

fp32 has to be the network it came from; INT8 may lose LARGEST_DROP of its accuracy, and LESS_ACCURATE_BY against the
best of the tools. A tool that fails is a row that says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import peer_tools
from edgebench.analysis import stats
from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from edgebench.networks import data, training
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint, tensors
from exporters.workers.messages import RunTask
from exporters.workers.process import Failed, WorkerPool

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array
    from edgebench.schema.estimate import Estimate

PLUGINS = ("onnx", "tflite")
OURS = "edgebench"
LARGEST_FP32_ERROR = 1e-4  # of the largest logit
LARGEST_DROP = 0.003
LESS_ACCURATE_BY = 0.001
HEADER = (
    "network", "format", "file", "accuracy", "points against its parent", "agreement", "largest difference",
    "points against the best tool", "asked for",
)  # fmt: skip
WIDTHS = (15, 6, 32, 8, 25, 9, 18, 28, 18)
Row = tuple[list[str], bool]


@dataclass(frozen=True)
class Answered:
    """What a file said to the test split. error: the largest difference of a logit, of the largest logit there is."""

    name: str
    right: np.ndarray
    agreement: float
    error: float

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


@dataclass(frozen=True)
class Trained:
    """A trained network and what it says itself."""

    source: Path
    folder: Path

    @cached_property
    def _opened(self) -> checkpoint.Checkpoint:
        return checkpoint.load(self.source)

    @cached_property
    def _images(self) -> data.Dataset:
        return data.load(self._opened.about.dataset)

    @cached_property
    def _reference(self) -> Float32Array:
        return training.logits(rebuild(self._opened), self._images.test.images, self._opened.about.preprocessing)

    @cached_property
    def _stored(self) -> Path:
        path = self.folder / "test.npy"
        np.save(path, self._images.test.images)
        return path

    @cached_property
    def itself(self) -> Answered:
        return Answered("parent", self._told(self._reference), 1.0, 0.0)

    def _told(self, answers: Float32Array) -> np.ndarray:
        told: np.ndarray = answers.argmax(1) == self._images.test.labels
        return told

    def ours(self, plugin: str, max_drop_points: float | None) -> Iterator[Answered]:
        """fp32, then INT8."""
        formats = [f"{plugin}-fp32", f"{plugin}-int8"]
        made = export(
            self.source,
            ExportOptions(formats=formats, max_drop_points=max_drop_points),
            out=self.folder / f"ours-{plugin}",
        )
        for one in made.bundle.artifacts:
            yield self.asked(f"{OURS} {one.precision}", plugin, made.path / one.content.file)

    def calibration(self) -> Path:
        """The tools' calibration images: those that export takes, prepared."""
        path = self.folder / "calibration.npy"
        np.save(path, self._opened.about.preprocessing.apply(self._images.calibration().images))
        return path

    def asked(self, name: str, plugin: str, file: Path) -> Answered:
        out = self.folder / "answers.npy"
        run = RunTask(str(file), str(self._stored), self._opened.about.preprocessing, str(out))
        with contextlib.closing(WorkerPool(self.folder)) as workers:
            workers.run(plugin, run)
        with np.load(out) as found:
            (answers,) = found.values()
        error = float(abs(answers - self._reference).max() / abs(self._reference).max())
        return Answered(name, self._told(answers), tensors.agreement(answers, self._reference), error)


def rows(source: Path, *, max_drop_points: float | None, folder: Path) -> Iterator[Row]:
    """As they become known, the tools' first; each with whether it holds what is asked of it."""
    network = Trained(source, folder)
    tools: dict[str, list[Answered]] = {plugin: [] for plugin in PLUGINS}
    for tool in peer_tools.make_int8(source, network.calibration(), folder / "tools"):
        try:
            if tool.failure:
                raise tool.failure
            tools[tool.plugin].append(network.asked(tool.name, tool.plugin, tool.file))
            yield _row(source, tool.plugin, tools[tool.plugin][-1], network.itself), True
        except (UserError, Failed) as error:
            yield _failed(source, tool.plugin, tool.name, error), True
    for plugin in PLUGINS:
        best = max(tools[plugin], key=lambda one: one.accuracy, default=None)
        try:
            for ours in network.ours(plugin, max_drop_points):
                if ours.name.endswith("int8"):
                    kept = ours.accuracy >= network.itself.accuracy - LARGEST_DROP
                    as_good = best is None or ours.accuracy >= best.accuracy - LESS_ACCURATE_BY
                    holds, asked = kept and as_good, "-0.3, -0.1"
                    yield _row(source, plugin, ours, network.itself, best, asked=asked, holds=holds), holds
                else:
                    holds = ours.agreement == 1 and ours.error <= LARGEST_FP32_ERROR
                    yield _row(source, plugin, ours, network.itself, asked="100%, 1e-4", holds=holds), holds
        except (UserError, Failed) as error:
            yield _failed(source, plugin, OURS, error), False


def _row(
    source: Path,
    plugin: str,
    one: Answered,
    parent: Answered,
    best: Answered | None = None,
    *,
    asked: str = "",
    holds: bool = True,
) -> list[str]:
    against = _points(stats.paired_difference(one.right, best.right)) if best else ""
    return [
        source.stem, plugin, one.name, f"{one.accuracy:.2%}",
        _points(stats.paired_difference(one.right, parent.right)), f"{one.agreement:.2%}", f"{one.error:.1e}",
        against, f"{asked}: {'holds' if holds else 'MISSED'}" if asked else "",
    ]  # fmt: skip


def _points(difference: Estimate) -> str:
    """With its 95 % interval, image by image."""
    assert difference.low is not None
    assert difference.high is not None
    low, high = difference.low * 100, difference.high * 100
    return f"{difference.value * 100:+.2f} ({low:+.2f} to {high:+.2f})"


def _failed(source: Path, plugin: str, name: str, error: UserError | Failed) -> list[str]:
    seen = error.seen.strip().splitlines() or ["it failed"]
    return [source.stem, plugin, name, "not made", f"{seen[-1][:200]}", "", "", "", ""]
