"""Samples in a file, with the parent's answers to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from exporters.arithmetic import feeds, image_files
from exporters.pipeline import answers
from exporters.pipeline.answers import ArtifactAnswers
from exporters.workers.messages import RunResult, RunTask
from exporters.workers.process import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgebench.networks.data import Split
    from edgebench.schema.arrays import Int64Array
    from edgebench.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class Samples:
    """file: see `feeds`: uint8 images [N, H, W, C] with preprocessing, or an .npz of arrays by input.

    reference: the parent's answers, for each of its outputs [N, ...], float32, or int64 for whole numbers. golden:
    indices of the samples that become golden inputs. inputs, outputs: the parent's.
    """

    file: Path
    preprocessing: Preprocessing | None
    reference: tuple[Any, ...]
    golden: Int64Array
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: Int64Array | None = None

    def __len__(self) -> int:
        return len(self.reference[0])

    def answers(
        self, plugin: str, artifact: Path, workers: WorkerPool, *, folded: bool = False, any_batch: bool = False
    ) -> tuple[ArtifactAnswers, RunResult]:
        """An artifact's answers to all of them, computed in another process. Raises Failed, and UserError for outputs
        that are not those of the parent.

        folded: the preprocessing is in the artifact. any_batch: UserError unless it takes several images at once.
        """
        out = artifact.with_name(f"{artifact.name}.{self.file.stem}.answers{feeds.ARRAYS}")
        itself = tuple(map(int, self.golden))
        task = RunTask(
            str(artifact),
            str(self.file),
            self.preprocessing,
            str(out),
            folded,
            any_batch,
            network=self.inputs,
            itself=itself,
        )
        ran = workers.run(plugin, task)
        return answers.matched(feeds.read(out), ran.outputs, self.reference, self.outputs), ran

    def take(self, index: Int64Array, name: str) -> Samples:
        """Some of them, in a file of their own beside this one."""
        file = feeds.take(self.file, index, name)
        reference = tuple(one[index] for one in self.reference)
        labels = None if self.labels is None else self.labels[index]
        return replace(self, file=file, reference=reference, golden=index[:0], labels=labels)

    def stored(self, index: Int64Array, inputs: Sequence[TensorSpec], name: str) -> tuple[Any, ...]:
        """Some of them as an artifact takes them, [n, ...] for each of its inputs.

        name: the artifact's, for a file of its own: several artifacts are checked at the same time.
        """
        file = feeds.take(self.file, index, f"{self.file.stem}-{name}")
        return next(feeds.each_batch(file, self.preprocessing, self.inputs, inputs, len(index)))


def keep(folder: Path, name: str, split: Split) -> Path:
    """Put a split's images where worker processes can read them."""
    return image_files.write(folder, name, split.images)
