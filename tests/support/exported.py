"""A network that is trained once per file, the bundle of everything made of it, and coloured images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgebench.export import Exported, export
from edgebench.networks import data
from edgebench.networks.data import Dataset, Split
from edgebench.schema import bundle, checkpoint
from edgebench.schema.bundle import Artifact
from edgebench.schema.preprocessing import Preprocessing
from edgebench.train import train

ALL = [
    "onnx-fp32", "onnx-fp16", "onnx-int8", "tflite-fp32", "tflite-fp16", "tflite-int8", "torch-fp32", "torch-fp16",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def mini() -> Dataset:
    return data.load("fashion-mnist-mini")


@pytest.fixture(scope="module")
def dense(folder: Path) -> checkpoint.Checkpoint:
    return train("ultralight", "fashion-mnist-mini", epochs=3, out=folder / "dense.safetensors")


@pytest.fixture(scope="module")
def exported(dense: checkpoint.Checkpoint, folder: Path) -> Exported:
    return export(dense.path, out=folder / "bundles" / "dense")


def by_name(made: Exported) -> dict[str, Artifact]:
    return {artifact.name.removeprefix("dense-"): artifact for artifact in made.bundle.artifacts}


def read(made: Exported, ref: bundle.FileRef, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer((made.path / ref.file).read_bytes(), np.dtype(dtype).newbyteorder("<")).reshape(shape)


@pytest.fixture(scope="module")
def coloured() -> Iterator[Dataset]:
    """20 x 12 images with three channels: a mixed-up axis cannot go unnoticed.

    The class is the channel that is bright, and the half of the image in which it is.
    """
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = np.arange(count) % 6
        images = rng.integers(0, 60, (count, 20, 12, 3), np.uint8)
        for image, label in zip(images, labels, strict=True):
            half = slice(0, 10) if label < 3 else slice(10, 20)
            image[half, :, label % 3] += 120
        return Split(images, labels.astype(np.int64))

    yield dataclasses.replace(
        data.load("fashion-mnist-mini"),
        name="coloured",
        train=split(600),
        validation=split(60),
        test=split(120),
        class_names=tuple("abcdef"),
        preprocessing=Preprocessing((0.2, 0.3, 0.4), (0.2, 0.25, 0.3)),
        flip=False,
    )
