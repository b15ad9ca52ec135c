"""Small data sets: the shipped slice, and files in the official formats that hold noise. No test asks the network.

The images are noise, so their checksums are not the official ones: each writer replaces the list of checksums, and
only that, by the checksums of what it wrote (or, for idx files, by none). All other checks stay in place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import socket
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from edgebench.errors import UserError
from edgebench.networks import data
from edgebench.networks.data import Split, fashion_mnist, mnist, octmnist

# One file of each.
FILES = {
    "mnist": "MNIST/raw/train-labels-idx1-ubyte",
    "fashion-mnist": "FashionMNIST/raw/train-images-idx3-ubyte",
    "emnist-balanced": "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte",
    "emnist-byclass": "EMNIST/raw/emnist-byclass-test-labels-idx1-ubyte",
    "cifar10": "cifar-10-batches-py/data_batch_3",
    "cifar100": "cifar-100-python/meta",
    "octmnist": "octmnist.npz",
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def mini() -> data.Dataset:
    return data.load("fashion-mnist-mini")


def contents(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(head + array.tobytes())


def write_idx_set(folder: Path, prefixes: tuple[str, str], counts: tuple[int, int], classes: int) -> None:
    """Images of noise; the labels go round."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix, count in zip(prefixes, counts, strict=True):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", (np.arange(count) % classes).astype(np.uint8))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def without_checksums(monkeypatch: pytest.MonkeyPatch, plugin: Any) -> None:
    monkeypatch.setattr(plugin, "SOURCE", dataclasses.replace(plugin.SOURCE, checksums={}))


def small_mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(root / "MNIST" / "raw", ("train", "t10k"), (6000, 30), 10)
    without_checksums(monkeypatch, mnist)


def small_fashion_mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(root / "FashionMNIST" / "raw", ("train", "t10k"), (6000, 1200), 3)
    without_checksums(monkeypatch, fashion_mnist)


def small_emnist_balanced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes = ("emnist-balanced-train", "emnist-balanced-test")
    write_idx_set(root / "EMNIST" / "raw", prefixes, (47 * 410, 47), 47)


def small_emnist_byclass(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(root / "EMNIST" / "raw", ("emnist-byclass-train", "emnist-byclass-test"), (62 * 210, 62), 62)


def small_cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_cifar("CIFAR10", root, monkeypatch, 1100, 10, "labels")


def small_cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_cifar("CIFAR100", root, monkeypatch, 5300, 100, "fine_labels")


def small_cifar(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, count: int, classes: int, key: str) -> None:
    """`count` images in each of the reader's files: red, then green, then blue, 1024 bytes each."""
    reader = getattr(pytest.importorskip("torchvision.datasets"), name)
    folder = root / reader.base_folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for listed in ("train_list", "test_list"):
        written = []
        for file, _ in getattr(reader, listed):
            batch = {"data": rng.integers(0, 256, (count, 3072), np.uint8), key: [i % classes for i in range(count)]}
            (folder / file).write_bytes(pickle.dumps(batch))
            written.append([file, md5(folder / file)])
        monkeypatch.setattr(reader, listed, written)
    meta = folder / reader.meta["filename"]
    meta.write_bytes(pickle.dumps({reader.meta["key"]: [str(i) for i in range(classes)]}))
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": md5(meta)})


def small_octmnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 400), ("val", 40), ("test", 12)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 4).astype(np.uint8)[:, None]
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "octmnist.npz", **arrays)
    monkeypatch.setattr(octmnist, "MD5", md5(root / "octmnist.npz"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("EDGEBENCH_DATA", str(folder))
    return folder


@pytest.fixture
def raw(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fashion-MNIST in torchvision's layout: 6,000 training and 1,200 test images of noise, 3 classes."""
    small_fashion_mnist(root, monkeypatch)
    return root / "FashionMNIST" / "raw"


def small(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> data.Dataset:
    """The data set, from small files if this file knows how to write them."""
    writer = globals().get(f"small_{name.replace('-', '_')}")
    if writer is not None:
        pytest.importorskip("torchvision")
        writer(root, monkeypatch)
    try:
        return data.load(name)
    except UserError as error:
        if writer is not None:
            raise
        pytest.skip(f"no small files for {name}: {error.seen}")
