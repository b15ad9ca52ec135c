"""A whole test set as an artifact takes it, in pieces that are named by their content, and what comes back of it.

host    images of the data set ─> the artifact's own dtype and layout ─> pieces ─> sent once (by sha256)
device  the file that was timed answers each image ─> what the task needs of it    (device_agents/python/reductions.py)
host    classes and labels image by image, or scores, in the record
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edgebench.device.job_store import AccuracyTest
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.schema import tensors
from edgebench.schema.bundle import Artifact
from edgebench.schema.limits import Index

# The most of one piece, which is one request to the device: it has to answer in time, and holds the piece in memory.
PIECE_BYTES = 8_000_000
PIECE_IMAGES = 500
# Answers to a piece come back in one line.
ANSWER_BYTES = 3_000_000
# Kept here and on the device.
MOST_BYTES = 16_000_000_000


@dataclass(frozen=True)
class TestSet:
    """What a device is asked about one artifact. files: {sha256: path} of the pieces, here."""

    __test__ = False  # not a test of pytest's

    test: AccuracyTest
    files: dict[str, Path]


def test_set(
    artifact: Artifact, name: str, images: Any, labels: Any, reduction: dict[str, Any], image_bytes: int
) -> TestSet:
    """images: uint8 or float32 [N, H, W, C]. labels: int64 [N], None if there are more than classes. image_bytes: the
    most that the device keeps of an image's answers.

    Raises UserError for what is too much for devices.
    """
    pieces: list[tuple[str, int]] = []
    files = {}
    folder = cache.folder() / "test-sets"
    most = max(1, min(PIECE_IMAGES, ANSWER_BYTES // max(1, image_bytes)))
    pixels = _pixels(artifact, images, reduction)
    for count, content in _pieces(artifact, images, most) if pixels is None else _raw_pieces(images, most):
        if not pieces and len(images) * len(content) / count > MOST_BYTES:
            whole = len(images) * len(content) / count
            raise UserError(
                name, f"its {len(images):,} test images are {whole / 1e9:.0f} GB as {artifact.name} takes them",
                f"Score {int(MOST_BYTES / whole * len(images)):,} of them: --dataset NAME@TRAIN,TEST",
            )  # fmt: skip
        sha256 = hashlib.sha256(content).hexdigest()
        pieces.append((sha256, count))
        files[sha256] = cache.put(folder / f"{sha256}.bin", content)
    encoded = "" if labels is None else base64.b64encode(labels.astype("<u2").tobytes()).decode()
    return TestSet(AccuracyTest(name, encoded, tuple(pieces), reduction, image_bytes, pixels), files)


# A phone's page takes inputs as they are; it answers with classes only.
_WITHOUT_PIXELS = ("classes", "top")


def _pixels(artifact: Artifact, images: Any, reduction: dict[str, Any]) -> dict[str, Any] | None:
    """How the device makes inputs of bytes; None where it gets inputs."""
    spec, preprocessing = artifact.inputs[0], artifact.preprocessing
    is_plain = images.dtype.name == "uint8" and preprocessing is not None and preprocessing.resize is None
    if reduction["kind"] in _WITHOUT_PIXELS or not is_plain or spec.folded or spec.layout not in ("NCHW", "NHWC"):
        return None
    assert preprocessing is not None
    factors, offsets = (one.tolist() for one in preprocessing.arithmetic())
    how = {"shape": list(images.shape[1:]), "factors": factors, "offsets": offsets}
    whole = {"scale": spec.scale or 1.0, "zero_point": spec.zero_point or 0} if "int" in spec.dtype else {}
    return {**how, "layout": spec.layout, "dtype": spec.dtype, **whole}


def _raw_pieces(images: Any, most: int) -> Iterator[tuple[int, bytes]]:
    room = min(most, max(1, PIECE_BYTES // math.prod(images.shape[1:])))
    for start in range(0, len(images), room):
        some = images[start : start + room]
        yield len(some), some.tobytes()


def _pieces(artifact: Artifact, images: Any, most: int = PIECE_IMAGES) -> Iterator[tuple[int, bytes]]:
    """(images, their bytes) of each piece."""
    spec, preprocessing = artifact.inputs[0], artifact.preprocessing
    assert preprocessing is not None
    room = most
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


# ------------------------------------------------------------------ what a device kept of its answers


class PackedArrays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same array of every image of a piece (device_agents/python/reductions.py: packed)."""

    dtype: Literal["uint8", "uint16", "float32"]
    shapes: list[tuple[Index, ...]]
    zlib_base64: str


Class = Annotated[int, msgspec.Meta(ge=0, lt=65536)]
MOST_UNPACKED_BYTES = 1 << 30


def unpacked(answers: bytes) -> list[list[Any]]:
    """For each image of a piece its arrays. Raises ValueError for what are none."""
    import numpy as np

    found = msgspec.json.decode(answers, type=list[msgspec.Raw])
    if not found or not bytes(found[0]).startswith(b"{"):
        numbers = msgspec.json.decode(answers, type=list[Class])
        return [[np.array([number], np.uint16)] for number in numbers]
    parts = [_arrays(part) for part in msgspec.json.decode(answers, type=list[PackedArrays])]
    return [list(arrays) for arrays in zip(*parts, strict=True)]


def _arrays(part: PackedArrays) -> list[Any]:
    import numpy as np

    dtype = np.dtype(part.dtype).newbyteorder("<")
    sizes = [math.prod(shape) for shape in part.shapes]
    whole = sum(sizes) * dtype.itemsize
    if whole > MOST_UNPACKED_BYTES:
        raise ValueError(f"{len(sizes)} arrays of {whole} bytes")
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(part.zlib_base64, validate=True), whole + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"arrays that cannot be unpacked ({error})") from error
    if len(content) != whole:
        raise ValueError(f"{len(content)} bytes of {whole}")
    flat = np.frombuffer(content, dtype)
    ends = np.cumsum(sizes)
    return [flat[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, part.shapes, strict=True)]
