"""The files of data sets: read from torchvision's layout, cut short, not the official ones, damaged, or absent."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebench.errors import BadFile, UserError
from edgebench.networks import data
from tests.support.small_data import FILES, small, small_cifar10, small_emnist_balanced, small_mnist, write_idx
from tests.support.small_data import no_network as no_network
from tests.support.small_data import raw as raw
from tests.support.small_data import root as root


def test_the_full_set_is_read_from_the_official_files(raw: Path) -> None:
    pytest.importorskip("torchvision")
    loaded = data.load("fashion-mnist")
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (4500, 1500, 1200)
    stored = np.frombuffer((raw / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    assert np.array_equal(loaded.test.images.reshape(-1), stored)


@pytest.mark.parametrize("kept", [0, 3, 40])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_short_is_named(name: str, kept: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extraction that was interrupted leaves such a file; at 40 bytes an idx file still has its head."""
    small(name, root, monkeypatch)
    path = root / FILES[name]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadFile, match="Delete it and try again") as raised:
        data.load(name)
    assert raised.value.where == str(path)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_other_files_of_the_right_length_are_not_taken_for_the_official_ones(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        small(name, root, patched)
    with pytest.raises(BadFile, match="wrong checksum"):
        data.load(name)


def test_what_an_old_torchvision_left_behind_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_mnist(root, monkeypatch)
    (root / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        (root / "MNIST" / "processed" / name).write_bytes(b"unchecked")
    assert len(data.load("mnist").test) == 30


def test_a_pickle_of_unknown_content_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_cifar10(root, monkeypatch)
    victim = root / "victim"
    (root / FILES["cifar10"]).write_bytes(pickle.dumps(Touches(str(victim))))
    with pytest.raises(BadFile, match=r"data_batch_3: wrong checksum"):
        data.load("cifar10")
    assert not victim.exists()


class Touches:
    """Unpickling it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_labels_that_have_no_class_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_emnist_balanced(root, monkeypatch)
    labels = root / "EMNIST" / "raw" / "emnist-balanced-test-labels-idx1-ubyte"
    write_idx(labels, np.full(47, 47, np.uint8))
    with pytest.raises(BadFile, match="labels outside 0 to 46"):
        data.load("emnist-balanced")
    write_idx(labels, np.zeros(46, np.uint8))
    with pytest.raises(BadFile, match="damaged"):
        data.load("emnist-balanced")


@pytest.mark.parametrize("name", sorted(set(FILES) - {"octmnist"}))
def test_absent_files_name_the_folder_and_the_way_out(name: str, root: Path) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(UserError, match=r"could not be downloaded \(.*no network in tests") as raised:
        data.load(name)
    assert "\n" not in str(raised.value)
    folder = root if name.startswith("cifar") else (root / FILES[name]).parent
    assert re.search(rf"copy \S+\.(gz|zip)\b.* from http\S+ into {folder},.*EDGEBENCH_DATA", raised.value.remedy)


def test_octmnist_names_the_file_and_the_way_out(root: Path) -> None:
    with pytest.raises(UserError, match=r"no network in tests.*copy octmnist.npz from http.*EDGEBENCH_DATA"):
        data.load("octmnist")
