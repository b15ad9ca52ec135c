"""What every data set keeps to: over small files in the official formats, and over the real ones where they are."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from edgebench.errors import UnknownName
from edgebench.networks import data
from edgebench.networks.data import emnist_balanced, emnist_byclass
from edgebench.schema.preprocessing import Preprocessing
from tests.support.small_data import (
    FILES,
    contents,
    small,
    small_cifar100,
    small_emnist_balanced,
    small_octmnist,
    write_idx,
)
from tests.support.small_data import no_network as no_network
from tests.support.small_data import root as root

# Where the real files are, if anywhere: read here, before a test sets it to another folder.
REAL = os.environ.get("EDGEBENCH_DATA")


@pytest.mark.parametrize("name", data.names())
def test_every_data_set_keeps_the_contract(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = small(name, root, monkeypatch)
    keeps_the_contract(loaded, name)
    assert not contents(loaded.calibration()) & (contents(loaded.test) | contents(loaded.validation))
    assert data.split_hash(loaded) == data.split_hash(data.load(name))


def keeps_the_contract(loaded: data.Dataset, name: str) -> None:
    assert loaded.name == name
    assert loaded.licence and isinstance(loaded.flip, bool)
    classes, shape = len(loaded.class_names), loaded.train.images.shape[1:]
    assert len(set(loaded.class_names)) == classes > 1
    assert len(loaded.preprocessing.mean) == len(loaded.preprocessing.std) == loaded.input_shape[0]
    for split in (loaded.train, loaded.validation, loaded.test):
        assert (split.images.dtype, split.labels.dtype, split.images.shape[1:]) == (np.uint8, np.int64, shape)
        assert split.images.flags.c_contiguous
        assert len(split) > 0 and 0 <= split.labels.min() <= split.labels.max() < classes
    shown = loaded.calibration()
    assert len(shown) == data.CALIBRATION_IMAGES
    assert set(shown.positions()) <= set(loaded.train.positions())
    if loaded.validation.index is not None:  # cut from the training split: each official image is in one of the two
        both = np.concatenate([loaded.train.positions(), loaded.validation.positions()])
        assert np.array_equal(np.sort(both), np.arange(len(both)))


def test_the_names_are_the_studies() -> None:
    studied = "mnist fashion-mnist emnist-balanced emnist-byclass cifar10 cifar100 octmnist"
    assert set(studied.split()) < set(data.names())


@pytest.mark.parametrize("part", ["balanced", "byclass"])
def test_emnist_classes_are_in_torchvisions_order(part: str) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    plugin = {"balanced": emnist_balanced, "byclass": emnist_byclass}[part]
    assert list(plugin.CLASS_NAMES) == datasets.EMNIST.classes_split_dict[part]


def test_emnist_is_shown_upright(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-made letter L, stored as EMNIST stores it: rows are columns."""
    letter = np.zeros((28, 28), np.uint8)
    letter[4:24, 6:9] = 255  # the long stroke, down the left side
    letter[21:24, 6:20] = 255  # the foot, along the bottom
    small_emnist_balanced(root, monkeypatch)
    write_idx(root / "EMNIST" / "raw" / "emnist-balanced-test-images-idx3-ubyte", np.stack([letter.T] * 47))
    assert np.array_equal(data.load("emnist-balanced").test.images[5, ..., 0], letter)


def test_cifar_is_read_in_colour_and_upright(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_cifar100(root, monkeypatch)
    stored = pickle.loads((root / "cifar-100-python" / "test").read_bytes())["data"]
    assert data.load("cifar100").test.images[7, 2, 30].tolist() == stored[7].reshape(3, 32, 32)[:, 2, 30].tolist()


def test_octmnist_keeps_its_own_splits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_octmnist(root, monkeypatch)
    loaded = data.load("octmnist")
    assert [len(split) for split in (loaded.train, loaded.validation, loaded.test)] == [400, 40, 12]
    with np.load(root / "octmnist.npz") as stored:
        assert np.array_equal(loaded.validation.images[..., 0], stored["val_images"])


def test_preprocessing_normalises_and_puts_channels_first() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    made = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0)).apply(images)
    assert (made.shape, made.dtype, made.flags.c_contiguous) == ((5, 3, 4, 6), np.float32, True)
    expected = (images[2, 3, 1, 1] / 255 - 0.2) / 0.25
    assert made[2, 1, 3, 1] == pytest.approx(expected, abs=1e-6)


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'fashion-mnist'"):
        data.load("fashon-mnist")


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBENCH_CACHE")
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert data.folder() == Path("/home/someone/.cache/edgebench/data")
    monkeypatch.setenv("EDGEBENCH_CACHE", "/var/cache/eb")
    assert data.folder() == Path("/var/cache/eb/data")
    monkeypatch.setenv("EDGEBENCH_DATA", "~/sets")
    assert data.folder() == Path("/home/someone/sets")


# ------------------------------------------------------------------ the real files, where EDGEBENCH_DATA has them

FACTS = {  # training, validation and test images, and what is at the start of the official test split
    "mnist": (55_000, 5_000, 10_000, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
    "fashion-mnist": (55_000, 5_000, 10_000, [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),
    "cifar10": (45_000, 5_000, 10_000, [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]),
}


@pytest.mark.parametrize("name", FACTS)
def test_the_real_files_are_what_they_are_known_to_be(name: str) -> None:
    pytest.importorskip("torchvision")
    if REAL is None or not Path(REAL, FILES[name]).is_file():
        pytest.skip(f"the official files of {name} are not in $EDGEBENCH_DATA ({REAL or 'not set'})")
    loaded = data.load(name)
    keeps_the_contract(loaded, name)
    *counts, first = FACTS[name]
    assert [len(split) for split in (loaded.train, loaded.validation, loaded.test)] == counts
    assert np.bincount(loaded.validation.labels).tolist() == [500] * 10
    assert loaded.test.labels[:10].tolist() == first
    # The declared mean and standard deviation are those of the official training split, held-out part included.
    for channel in range(loaded.input_shape[0]):
        parts = [split.images[..., channel].reshape(-1) for split in (loaded.train, loaded.validation)]
        counted = sum(np.bincount(part, minlength=256) for part in parts)
        values = np.arange(256) / 255
        mean = (counted * values).sum() / counted.sum()
        std = np.sqrt((counted * (values - mean) ** 2).sum() / counted.sum())
        assert mean == pytest.approx(loaded.preprocessing.mean[channel], abs=6e-5)
        assert std == pytest.approx(loaded.preprocessing.std[channel], abs=6e-5)
