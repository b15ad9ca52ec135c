"""The data sets of an export: what the network is tested, compared and calibrated on, before anyone is asked."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import data
from exporters.pipeline import preprocessing as _preprocessing
from exporters.sources.parent import Parent

if TYPE_CHECKING:
    from edgebench.networks.data import Dataset, Split
    from edgebench.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class Material:
    """images: test and validation splits are of this; calibration: a part of a training split."""

    images: Dataset
    calibration: Split
    calibration_name: str
    preprocessing: Preprocessing

    @property
    def note(self) -> str:
        """What ranges are found on, for the artifacts' notes."""
        return (
            f"{len(self.calibration)} images of the training split of {self.calibration_name}, the first of every "
            "class, then the second, and so on; nothing is drawn; sha256 "
            f"{hashlib.sha256(self.calibration.images.tobytes()).hexdigest()}"
        )

    @property
    def digest(self) -> str:
        """sha256 over all images and labels that decide about artifacts or are counted in them."""
        whole = hashlib.sha256()
        for split in (self.images.test, self.images.validation, self.calibration):
            whole.update(str(split.images.shape).encode())
            whole.update(split.images.tobytes())
            whole.update(split.labels.tobytes())
        return whole.hexdigest()


def load(parent: Parent) -> Material | None:
    """None where no data set is known. Raises UserError for one that does not fit the network."""
    if parent.dataset is None:
        if parent.named_preprocessing is not None:
            raise UserError("--preprocessing", "it is of images, and no data set is named", "Name one with --dataset")
        return None
    images = data.load(parent.dataset)
    calibration = images if parent.calibration in (None, parent.dataset) else data.load(str(parent.calibration))
    preprocessing = parent.preprocessing or images.preprocessing
    if parent.named_preprocessing is not None:
        preprocessing = _preprocessing.named(parent.named_preprocessing, images.preprocessing)
    for used in (images, calibration):
        _same_size(parent, dataclasses.replace(used, preprocessing=preprocessing))
    shown = calibration.calibration()
    if shown.images.max() <= 1:
        raise UserError(
            f"data set '{calibration.name}'",
            "no number in its images is larger than 1: they were divided by 255 and then made bytes",
            "Give the images as bytes, 0 to 255",
        )
    return Material(images, shown, calibration.name, preprocessing)


def _same_size(parent: Parent, images: Dataset) -> None:
    wanted, given = parent.input_shape, images.input_shape
    if wanted == given or (len(wanted) == 1 and wanted[0] == given[0] * given[1] * given[2]):
        return
    raise UserError(
        parent.where,
        f"it takes {'x'.join(map(str, wanted))} (channels, height, width), the images of {images.name} are "
        f"{'x'.join(map(str, given))}",
        "Use a data set of the network's input size",
    )
