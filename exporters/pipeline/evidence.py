"""The images that an export is judged by, and what the parent answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.tensors import to_layout, to_stored
from exporters.pipeline.criterion import AGREEMENT, Criterion
from exporters.workers.answering import Run
from exporters.workers.process import Workers
from exporters.workers.worker import Ran

if TYPE_CHECKING:
    from edgebench.networks.data import Split
    from edgebench.schema.arrays import Float32Array, Int64Array
    from edgebench.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class Samples:
    """Images in a file, with the parent's answers.

    file: .npy, uint8 [N, H, W, C] with preprocessing, or float32 [N, C, H, W] without.
    golden: indices of those that become golden inputs.
    """

    file: Path
    preprocessing: Preprocessing | None
    reference: Float32Array
    golden: Int64Array
    labels: Int64Array | None = None

    def answers(
        self, plugin: str, artifact: Path, workers: Workers, *, folded: bool = False, any_batch: bool = False
    ) -> tuple[Float32Array, Ran]:
        """What an artifact says to all of them, asked in another process. Raises Failed.

        folded: whether the preprocessing is in the artifact. any_batch: UserError unless it takes several at once.
        """
        import numpy as np

        out = artifact.with_name(f"{artifact.name}.{self.file.stem}.answers.npy")
        itself = tuple(map(int, self.golden))
        task = Run(str(artifact), str(self.file), self.preprocessing, str(out), folded, any_batch, itself)
        ran = workers.run(plugin, task)
        return np.load(out, allow_pickle=False), ran

    def take(self, index: Int64Array, name: str) -> Samples:
        """Some of them, in a file of their own beside this one."""
        import numpy as np

        assert self.labels is not None
        file = self.file.with_name(f"{name}.npy")
        np.save(file, np.load(self.file, mmap_mode="r", allow_pickle=False)[index], allow_pickle=False)
        return Samples(file, self.preprocessing, self.reference[index], index[:0], self.labels[index])

    def stored(self, index: Int64Array, spec: TensorSpec) -> Any:
        """Some of them as an artifact takes them, [n, ...]."""
        import numpy as np

        images = np.load(self.file, mmap_mode="r", allow_pickle=False)[index]
        if spec.folded:
            return to_layout(images.transpose(0, 3, 1, 2), spec)
        return to_stored(self.preprocessing.apply(images) if self.preprocessing else images, spec)


@dataclass(frozen=True)
class Evidence:
    """test: the official test split (or random numbers where no data set is known); selection: the validation split.

    ranking: a part of the selection, for what is only compared. calibration: .npy of uint8 [N, H, W, C], from the
    training split. criterion: by what INT8 files are compared on the selection.
    """

    dataset: str
    test: Samples
    selection: Samples | None = None
    ranking: Samples | None = None
    calibration: Path | None = None
    calibration_note: str = ""
    preprocessing: Preprocessing | None = None
    criterion: Criterion = AGREEMENT


def keep(folder: Path, name: str, split: Split) -> Path:
    """Put a split's images where worker processes can read them."""
    import numpy as np

    path = folder / f"{name}.npy"
    np.save(path, split.images, allow_pickle=False)
    return path
