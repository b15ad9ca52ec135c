"""Inputs that the user gives instead of a data set (--inputs): for calibration and for comparing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.modelfile import given_inputs

if TYPE_CHECKING:
    from edgebench.schema.arrays import Int64Array
    from exporters.sources.source_model import SourceModel

SEED = 0
MOST_CALIBRATION = 500


@dataclass(frozen=True)
class ExportInputs:
    """arrays: by input, `count` samples each (`exporters.arithmetic.feeds`). file: its name, for people."""

    arrays: dict[str, Any]
    count: int
    file: str

    def parts(self) -> tuple[Int64Array, Int64Array]:
        """The samples for calibration and those for comparing: halves, drawn with a fixed seed; of one, it is both."""
        import numpy as np

        order = np.random.default_rng(SEED).permutation(self.count)
        half = min(MOST_CALIBRATION, (self.count + 1) // 2)
        return np.sort(order[:half]), np.sort(order[half:] if self.count > 1 else order)

    @property
    def calibration_note(self) -> str:
        return f"{len(self.parts()[0])} of {self.count} samples of {self.file}, drawn with seed {SEED}"

    @property
    def compared_on(self) -> str:
        if self.count == 1:
            return f"the only sample of {self.file}, which was used for calibration too"
        return f"{len(self.parts()[1])} of {self.count} samples of {self.file}, none of them used for calibration"

    @property
    def described(self) -> str:
        if self.count == 1:
            return "1 sample, for calibration and for comparing"
        calibrating, comparing = self.parts()
        return f"{self.count} samples, {len(calibrating)} for calibration, {len(comparing)} others for comparing"

    @property
    def digest(self) -> str:
        whole = hashlib.sha256()
        for name, values in self.arrays.items():
            whole.update(f"{name} {values.dtype} {values.shape}\n".encode())
            whole.update(values.tobytes())
        return whole.hexdigest()


def load(parent: SourceModel, path: Path) -> ExportInputs:
    """Raises UserError for arrays that do not fit the network."""
    found = given_inputs.read(path, parent.inputs, parent.where)
    return ExportInputs(found.arrays, found.count, path.name)
