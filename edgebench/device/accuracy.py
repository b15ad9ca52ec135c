"""Accuracy on the device: the whole test set as an artifact takes it, in pieces that are named by their content.

host    images of the data set ─> the artifact's own dtype and layout ─> pieces ─> sent once (by sha256)
device  the file that was timed answers each image ─> classes             (device_agents/python/accuracy.py)
host    classes and labels, image by image, in the record                 (statistics when it is read)
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgebench.device.job_store import AccuracyTest
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.schema import tensors
from edgebench.schema.bundle import TEST_SET, Artifact
from edgebench.schema.preprocessing import Preprocessing

# The most of one piece, which is one request to the device: it has to answer in time, and holds the piece in memory.
PIECE_BYTES = 8_000_000
PIECE_IMAGES = 500


class LabelledImages(Protocol):
    """images: uint8 [N, H, W, C]; labels: int64 [N]."""

    @property
    def images(self) -> Any: ...

    @property
    def labels(self) -> Any: ...

    def digest(self) -> str: ...


class TestedDataset(Protocol):
    """Has a test split, as the data sets of `networks.data` do."""

    @property
    def name(self) -> str: ...

    @property
    def test(self) -> LabelledImages: ...


@dataclass(frozen=True)
class TestSet:
    """What a device is asked about one artifact. files: {sha256: path} of the pieces, here."""

    __test__ = False  # not a test of pytest's

    test: AccuracyTest
    files: dict[str, Path]


def test_set(artifact: Artifact, load: Callable[[str, Preprocessing], TestedDataset]) -> TestSet:
    """load: loads a data set by its name, its images in the given geometry.

    Raises UserError for an artifact that was exported without a data set, or before edgebench kept its preparation.
    """
    if artifact.parity is None or artifact.preprocessing is None or not artifact.inputs:
        raise UserError(
            artifact.name,
            "it does not say which test set it is for, or how its images are prepared",
            "Export it (again) with `edgebench export --dataset NAME`, or leave --accuracy out",
        )
    images = load(artifact.parity.dataset, artifact.preprocessing)
    if artifact.notes.get(TEST_SET) not in (None, images.test.digest()):
        raise UserError(
            artifact.parity.dataset,
            f"its test images, or how they are decoded, changed since {artifact.name} was exported",
            "Export it again, or leave --accuracy out",
        )
    pieces, files = [], {}
    folder = cache.folder() / "test-sets"
    for count, content in _pieces(artifact, images.test.images):
        sha256 = hashlib.sha256(content).hexdigest()
        pieces.append((sha256, count))
        files[sha256] = cache.put(folder / f"{sha256}.bin", content)
    labels = base64.b64encode(images.test.labels.astype("<u2").tobytes()).decode()
    return TestSet(AccuracyTest(images.name, labels, tuple(pieces)), files)


def _pieces(artifact: Artifact, images: Any) -> Iterator[tuple[int, bytes]]:
    """(images, their bytes) of each piece."""
    spec, preprocessing = artifact.inputs[0], artifact.preprocessing
    assert preprocessing is not None
    room = PIECE_IMAGES
    start = 0
    while start < len(images):
        some = images[start : start + room]
        if spec.folded:
            stored = tensors.to_layout(some.transpose(0, 3, 1, 2), spec)
        else:
            stored = tensors.to_stored(preprocessing.apply(some), spec)
        fits = max(1, PIECE_BYTES // stored[0].nbytes)
        if fits < len(some):
            room = fits
            continue
        yield len(some), stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        start += len(some)


def classes(values: Sequence[int]) -> str:
    """As records keep them: uint16, little-endian, base64."""
    return base64.b64encode(b"".join(value.to_bytes(2, "little") for value in values)).decode()
