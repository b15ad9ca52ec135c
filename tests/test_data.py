from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgebench import data
from edgebench.data import Preprocessing, Split, fashion_mnist, fashion_mnist_mini
from edgebench.errors import BadFile, UnknownName, UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def mini() -> data.Dataset:
    return data.load("fashion-mnist-mini")


def contents(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def test_the_shipped_slice_is_whole_balanced_and_small(mini: data.Dataset) -> None:
    assert mini.input_shape == (1, 28, 28)
    for split, per_class in ((mini.train, 650), (mini.validation, 50), (mini.test, 200)):
        assert np.bincount(split.labels).tolist() == [per_class] * 10
    assert len(mini.class_names) == 10
    assert fashion_mnist_mini.FILE.stat().st_size <= 4_000_000
    licence = fashion_mnist_mini.FILE.with_suffix(".LICENSE").read_text()
    assert "MIT License" in licence
    assert "Zalando" in licence


def test_the_shipped_slice_holds_real_clothes(mini: data.Dataset) -> None:
    """Facts about Fashion-MNIST that noise or a shuffled file would not have."""
    assert mini.train.images.mean() / 255 == pytest.approx(mini.preprocessing.mean[0], abs=0.01)
    assert mini.train.images.std() / 255 == pytest.approx(mini.preprocessing.std[0], abs=0.01)
    # Trousers are tall and narrow, sneakers lie at the bottom.
    trouser = mini.train.images[mini.train.labels == 1].mean(0)[..., 0]
    sneaker = mini.train.images[mini.train.labels == 7].mean(0)[..., 0]
    assert trouser[:, 10:18].mean() > 3 * trouser[:, :6].mean()
    assert sneaker[14:24].mean() > 10 * sneaker[:6].mean()


def test_no_image_is_in_two_splits(mini: data.Dataset) -> None:
    train, validation, test = map(contents, (mini.train, mini.validation, mini.test))
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_the_calibration_set_is_training_images_only(mini: data.Dataset) -> None:
    shown = mini.calibration()
    assert len(shown) == data.CALIBRATION_IMAGES
    assert contents(shown) <= contents(mini.train)
    assert not contents(shown) & (contents(mini.test) | contents(mini.validation))
    counts = np.bincount(shown.labels)
    assert counts.max() - counts.min() <= 1


def test_preprocessing_normalises_and_puts_channels_first() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    made = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0)).apply(images)
    assert (made.shape, made.dtype, made.flags.c_contiguous) == ((5, 3, 4, 6), np.float32, True)
    expected = (images[2, 3, 1, 1] / 255 - 0.2) / 0.25
    assert made[2, 1, 3, 1] == pytest.approx(expected, abs=1e-6)


def test_balanced_takes_classes_in_turn_and_what_there_is() -> None:
    labels = np.array([0, 0, 0, 0, 1, 2, 2], np.int64)
    assert labels[data.balanced_index(labels, 5)].tolist() == [0, 1, 2, 0, 2]
    assert sorted(data.balanced_index(labels, 100).tolist()) == list(range(7))


def test_a_split_refuses_other_types() -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        Split(images.astype(np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="int64"):
        Split(images, np.zeros(3, np.int64))


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'fashion-mnist'"):
        data.load("fashon-mnist")


def test_a_damaged_slice_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(fashion_mnist_mini.FILE.read_bytes()[:100_000])
    monkeypatch.setattr(fashion_mnist_mini, "FILE", broken)
    with pytest.raises(BadFile, match=r"broken.npz.*Install edgebench again"):
        data.load("fashion-mnist-mini")


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(head + array.tobytes())


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder in torchvision's layout: 6,000 training and 30 test images of noise, 3 classes."""
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 6000), ("t10k", 1200)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", (np.arange(count) % 3).astype(np.uint8))
    monkeypatch.setenv("EDGEBENCH_DATA", str(tmp_path / "data"))
    return folder


def test_the_full_set_is_read_from_the_official_files(raw: Path) -> None:
    pytest.importorskip("torchvision")
    loaded = data.load("fashion-mnist")
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (4500, 1500, 1200)
    stored = np.frombuffer((raw / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    assert np.array_equal(loaded.test.images.reshape(-1), stored)


def test_damaged_official_files_are_told(raw: Path) -> None:
    pytest.importorskip("torchvision")
    images = raw / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:5000])
    with pytest.raises(BadFile, match="damaged"):
        data.load("fashion-mnist")


def test_absent_files_name_the_folder_and_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("EDGEBENCH_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"could not be downloaded") as raised:
        data.load("fashion-mnist")
    assert "EDGEBENCH_DATA" in raised.value.remedy
    assert "\n" not in raised.value.seen


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert fashion_mnist.folder() == Path("/home/someone/.cache/edgebench/data")


def test_the_slice_is_made_by_its_rule(raw: Path, tmp_path: Path) -> None:
    """The tool takes the first of each class, in the file's order, and gives the same bytes each time."""
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for out in outs:
        subprocess.run([sys.executable, ROOT / "tools" / "make_fashion_mnist_mini.py", raw, out], check=True)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    stored = np.load(outs[0], allow_pickle=False)
    assert stored["train_labels"].tolist() == [0, 1, 2] * 700
    official = np.frombuffer((raw / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(-1, 28, 28)
    assert np.array_equal(stored["train_images"], official[:2100])
