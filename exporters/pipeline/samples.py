"""Images in a file, with the parent's answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.tensors import to_layout, to_stored
from exporters.arithmetic import image_files
from exporters.workers.messages import RunResult, RunTask
from exporters.workers.process import WorkerPool

if TYPE_CHECKING:
    from edgebench.networks.data import Split
    from edgebench.schema.arrays import Float32Array, Int64Array
    from edgebench.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class Samples:
    """file: see `image_files`, uint8 [N, H, W, C] with preprocessing, or float32 [N, C, H, W] without.

    reference: the parent's answers. golden: indices of the images that become golden inputs.
    """

    file: Path
    preprocessing: Preprocessing | None
    reference: Float32Array
    golden: Int64Array
    labels: Int64Array | None = None

    def answers(
        self, plugin: str, artifact: Path, workers: WorkerPool, *, folded: bool = False, any_batch: bool = False
    ) -> tuple[Float32Array, RunResult]:
        """An artifact's answers to all of them, computed in another process. Raises Failed.

        folded: the preprocessing is in the artifact. any_batch: UserError unless it takes several images at once.
        """
        import numpy as np

        out = artifact.with_name(f"{artifact.name}.{self.file.stem}.answers.npy")
        itself = tuple(map(int, self.golden))
        task = RunTask(str(artifact), str(self.file), self.preprocessing, str(out), folded, any_batch, itself)
        ran = workers.run(plugin, task)
        return np.load(out, allow_pickle=False), ran

    def take(self, index: Int64Array, name: str) -> Samples:
        """Some of them, in a file of their own beside this one."""
        assert self.labels is not None
        file = image_files.take(self.file, index, name)
        return Samples(file, self.preprocessing, self.reference[index], index[:0], self.labels[index])

    def stored(self, index: Int64Array, spec: TensorSpec) -> Any:
        """Some of them as an artifact takes them, [n, ...]."""
        images: Any = image_files.read(self.file)[index]
        if spec.folded:
            return to_layout(images.transpose(0, 3, 1, 2), spec)
        return to_stored(self.preprocessing.apply(images) if self.preprocessing else images, spec)


def keep(folder: Path, name: str, split: Split) -> Path:
    """Put a split's images where worker processes can read them."""
    return image_files.write(folder, name, split.images)
