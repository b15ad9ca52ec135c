"""Evaluation: the accuracy and calibration of a network on one split.

Counts, curves and pictures are stored; what follows from them (recall, calibration error, intervals) is computed when
read. Pictures are included, so that a report needs neither the network nor the images.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgebench import __version__
from edgebench.errors import BadFile
from edgebench.files import output
from edgebench.networks.evaluation import measures
from edgebench.networks.evaluation.measures import PerClass
from edgebench.schema.checkpoint import now

SCHEMA_VERSION = 2
# 1  2026-11  first
# 2  2026-11  told_base64: which answers are right, so that two networks can be compared image by image

SplitName = Literal["test", "validation", "train"]


class ParameterCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """buffers: numbers that training changes without a gradient (running means), without batch counters."""

    total: int
    trainable: int
    nonzero: int
    buffers: int


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Images with a confidence in one of equally wide intervals (low, high]: number and means; 0 if there are none."""

    count: int
    confidence: float
    accuracy: float


class Roc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class against the rest, from (0, 0) to (1, 1). auc: of the whole curve, before points were left out.

    None and no points if the split holds no image of the class, or only such images.
    """

    false_positive: tuple[float, ...] = ()
    true_positive: tuple[float, ...] = ()
    auc: float | None = None


class HeatMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """png: the image, and beside it the image under the Grad-CAM of the predicted class."""

    png: bytes
    actual: int
    answered: int
    confidence: float


class GradCam(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """layer: the one whose maps were weighted; map_size: their height and width. reason: why there are no pictures."""

    layer: str = ""
    map_size: tuple[int, int] = (0, 0)
    pictures: tuple[HeatMap, ...] = ()
    reason: str = ""


class Embedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """t-SNE of the last layer's input. points: (x, y) without a unit. reason: why there are none."""

    layer: str = ""
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    reason: str = ""


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """confusion: images by [class][answer]. top5_right: None with five classes or fewer.

    nll: mean negative log-likelihood, nats. brier: mean over images of the squared distance between the probabilities
    and the truth, summed over classes, 0..2 (Brier 1950). reliability: by confidence, lowest first. right_base64:
    packed bits, one per image in the split's order, set if the answer is right; empty in evaluations of schema 1.
    """

    checkpoint: str
    model: str
    dataset: str
    split: SplitName
    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    top5_right: int | None
    nll: float
    brier: float
    reliability: tuple[Bin, ...]
    roc: tuple[Roc, ...]
    parameters: ParameterCount
    grad_cam: GradCam
    tsne: Embedding
    right_base64: str = msgspec.field(default="", name="told_base64")
    created: str = msgspec.field(default_factory=now)
    edgebench: str = __version__
    schema_version: int = SCHEMA_VERSION

    @property
    def images(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def right(self) -> int:
        return sum(row[number] for number, row in enumerate(self.confusion))

    @property
    def right_by_image(self) -> np.ndarray | None:
        """For each image whether the answer is right; bool [images]. None if that was not kept."""
        if not self.right_base64:
            return None
        bits = np.frombuffer(base64.b64decode(self.right_base64), np.uint8)
        return np.unpackbits(bits, count=self.images).astype(bool)

    @property
    def accuracy(self) -> float:
        return self.right / self.images

    @property
    def per_class(self) -> PerClass:
        return measures.per_class(np.asarray(self.confusion))

    @property
    def ece(self) -> float:
        """Expected calibration error."""
        columns = zip(*map(msgspec.structs.astuple, self.reliability), strict=True)
        return measures.calibration_error(*map(np.asarray, columns))

    @property
    def macro_auc(self) -> float | None:
        """Mean over the classes that have an AUC."""
        known = [curve.auc for curve in self.roc if curve.auc is not None]
        return sum(known) / len(known) if known else None


def packed(right: np.ndarray) -> str:
    """`Evaluation.right_base64` of bool [images]."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def save(evaluation: Evaluation, path: Path) -> None:
    """As JSON. Raises UserError if it cannot be written."""
    output.write(path, msgspec.json.encode(evaluation) + b"\n")


def load(path: Path) -> Evaluation:
    """Raises BadFile."""
    remedy = "Make it again with `edgebench evaluate`"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except OSError as error:
        raise BadFile(str(path), f"it cannot be read ({error.strerror})", "Check the path") from error
    except msgspec.MsgspecError as error:
        raise BadFile(str(path), f"it is not an evaluation by this edgebench ({error})", remedy) from error
