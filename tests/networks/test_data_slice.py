"""The shipped slice of Fashion-MNIST: what it holds, and the tool that made it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgebench.errors import BadFile
from edgebench.networks import data
from edgebench.networks.data import fashion_mnist_mini
from tests.support.small_data import contents
from tests.support.small_data import mini as mini
from tests.support.small_data import no_network as no_network
from tests.support.small_data import raw as raw
from tests.support.small_data import root as root

ROOT = Path(__file__).parents[2]


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


def test_a_damaged_slice_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(fashion_mnist_mini.FILE.read_bytes()[:100_000])
    monkeypatch.setattr(fashion_mnist_mini, "FILE", broken)
    with pytest.raises(BadFile, match=r"broken.npz.*Install edgebench again"):
        data.load("fashion-mnist-mini")


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
