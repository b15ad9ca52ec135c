"""The data sets of an export: the images that the network is tested, compared and calibrated on."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks import data, normalisation
from edgebench.progress import Progress, Silent
from exporters.sources.source_model import SourceModel

if TYPE_CHECKING:
    from edgebench.networks.data import Dataset, Split
    from edgebench.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class ExportImages:
    """dataset: its test and validation splits are used; calibration: a part of a training split."""

    dataset: Dataset
    calibration: Split
    calibration_name: str
    preprocessing: Preprocessing

    @property
    def calibration_note(self) -> str:
        """What ranges are found on, for the artifacts' notes."""
        return (
            f"{len(self.calibration)} images of the training split of {self.calibration_name}, the first of every "
            "class, then the second, and so on, none at random; sha256 "
            f"{hashlib.sha256(self.calibration.images.tobytes()).hexdigest()}"
        )

    @property
    def digest(self) -> str:
        """sha256 over all images and labels that decide about artifacts or are counted in them."""
        whole = hashlib.sha256()
        for split in (self.dataset.test, self.dataset.validation, self.calibration):
            whole.update(split.digest().encode())
        whole.update(self.dataset.content.encode() if self.dataset.annotated is not None else b"")
        return whole.hexdigest()


def load(
    parent: SourceModel,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> ExportImages | None:
    """None where no data set is known. Raises UserError for one that does not fit the network."""
    if parent.dataset is None:
        if parent.named_preprocessing is not None:
            raise UserError(
                "--preprocessing", "has no effect without a data set, and none is named", "Name one with --dataset"
            )
        return None
    dataset = _prepared(parent, parent.dataset, progress)
    calibrating = dataset
    if parent.calibration not in (None, parent.dataset):
        calibrating = _prepared(parent, str(parent.calibration), progress)
    preprocessing = parent.preprocessing or dataset.preprocessing
    if parent.named_preprocessing is not None:
        preprocessing = normalisation.named(parent.named_preprocessing, dataset.preprocessing)
    for used in (dataset, calibrating):
        _refuse_other_size(parent, dataclasses.replace(used, preprocessing=preprocessing))
    _refuse_other_classes(parent, dataset)
    if dataset.content:
        progress.say(f"images of {dataset.name}: {preprocessing}")
    calibration = calibrating.calibration().decoded()
    if calibration.images.dtype.name == "uint8" and calibration.images[:].max() <= 1:
        raise UserError(
            f"data set '{calibrating.name}'",
            "no number in its images is larger than 1: they were divided by 255 and then converted to bytes",
            "Give the images as bytes, 0 to 255",
        )
    return ExportImages(dataset, calibration, calibrating.name, preprocessing)


def _prepared(parent: SourceModel, name: str, progress: Progress) -> Dataset:
    shape = parent.input_shape
    channels = shape[0] if len(shape) == 3 and shape[0] in (1, 3) else None
    return data.prepared(
        name, parent.preprocessing, geometry=parent.geometry, channels=channels, progress=progress, with_targets=True
    )


def _refuse_other_classes(parent: SourceModel, images: Dataset) -> None:
    """The names of a user's own classes are known: in another order every answer would be counted wrong."""
    if not (images.content and parent.class_names) or images.class_names == parent.class_names:
        return
    foreign = [name for name in images.class_names if name not in parent.class_names]
    if foreign:
        seen = f"it has no class '{foreign[0]}', which {images.name} has"
    else:
        missing = [name for name in parent.class_names if name not in images.class_names]
        seen = f"{images.name} has no class '{missing[0]}'" if missing else "its classes have another order"
    raise UserError(parent.where, seen, f"Its classes are: {', '.join(parent.class_names[:20])}")


def _refuse_other_size(parent: SourceModel, images: Dataset) -> None:
    wanted, given = parent.input_shape, images.input_shape
    if wanted == given or (len(wanted) == 1 and wanted[0] == given[0] * given[1] * given[2]):
        return
    raise UserError(
        parent.where,
        f"its input is {'x'.join(map(str, wanted))} (channels, height, width), the images of {images.name} are "
        f"{'x'.join(map(str, given))}",
        "Use a data set of the network's input size",
    )
