from __future__ import annotations

import dataclasses
import gzip
import hashlib
import http.client
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from edgebench import data
from edgebench.data import (
    Preprocessing,
    Split,
    _download,
    emnist_balanced,
    emnist_byclass,
    fashion_mnist,
    fashion_mnist_mini,
    mnist,
    octmnist,
)
from edgebench.errors import BadFile, UnknownName, UserError

ROOT = Path(__file__).parents[1]
# Where the real files are, if anywhere: read here, before a test sets it to another folder.
REAL = os.environ.get("EDGEBENCH_DATA")


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


def write_idx_set(folder: Path, prefixes: tuple[str, str], counts: tuple[int, int], classes: int) -> None:
    """Images of noise; the labels go round."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix, count in zip(prefixes, counts, strict=True):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", (np.arange(count) % classes).astype(np.uint8))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


# ------------------------------------------------------------------ small files in the official formats
#
# The images are noise, so their checksums are not the official ones: each writer replaces the list of checksums, and
# only that, by the checksums of what it wrote (or, for idx files, by none). All other checks stay in place.


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


# ------------------------------------------------------------------ contracts of every data set


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


# ------------------------------------------------------------------ splits


def test_the_split_hash_tells_splits_apart(mini: data.Dataset) -> None:
    known = data.split_hash(mini)
    assert len(known) == 64
    turned = dataclasses.replace(mini, train=mini.train.take(np.arange(len(mini.train))[::-1]))
    swapped = dataclasses.replace(mini, validation=mini.test, test=mini.validation)
    relabelled = dataclasses.replace(mini, test=Split(mini.test.images, (mini.test.labels + 1) % 10))
    assert len({known, *map(data.split_hash, (turned, swapped, relabelled))}) == 4


def test_a_split_remembers_where_its_images_came_from() -> None:
    whole = Split(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.arange(10) % 2)
    train, validation = data.hold_out(whole, 2)
    assert validation.positions().tolist() == [6, 7, 8, 9]
    assert train.take([4, 0]).positions().tolist() == train.take([4, 0]).images.reshape(-1).tolist() == [4, 0]
    with pytest.raises(ValueError, match="index"):
        Split(whole.images, whole.labels, np.arange(3))


def test_balanced_index_is_what_counting_one_by_one_gives() -> None:
    rng = np.random.default_rng(0)
    for classes in (1, 3, 62):
        labels = rng.choice(classes, 2000, p=rng.dirichlet(np.ones(classes)))
        seen, turns = dict.fromkeys(range(classes), 0), []
        for label in labels.tolist():
            turns.append(seen[label])
            seen[label] += 1
        expected = np.lexsort((labels, turns))
        assert np.array_equal(data.balanced_index(labels, 5000), expected)
        assert np.array_equal(data.balanced_index(labels, 100), expected[:100])
    assert data.balanced_index(np.empty(0, np.int64), 5).tolist() == []


def test_as_many_labels_as_emnist_byclass_has_are_split_in_seconds() -> None:
    labels = np.random.default_rng(0).choice(62, 814_255, p=np.arange(1, 63) / np.arange(1, 63).sum())
    official = Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)
    started = time.monotonic()
    train, validation = data.hold_out(official, 200)
    chosen = data.balanced(train, 256)
    assert time.monotonic() - started < 5  # 0.2 s when this was written
    assert len(validation) == 62 * 200
    assert np.bincount(chosen.labels, minlength=62).min() == 4


# ------------------------------------------------------------------ absent, broken and half-downloaded files


def test_the_full_set_is_read_from_the_official_files(raw: Path) -> None:
    pytest.importorskip("torchvision")
    loaded = data.load("fashion-mnist")
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (4500, 1500, 1200)
    stored = np.frombuffer((raw / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    assert np.array_equal(loaded.test.images.reshape(-1), stored)


FILES = {
    "mnist": "MNIST/raw/train-labels-idx1-ubyte",
    "fashion-mnist": "FashionMNIST/raw/train-images-idx3-ubyte",
    "emnist-balanced": "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte",
    "emnist-byclass": "EMNIST/raw/emnist-byclass-test-labels-idx1-ubyte",
    "cifar10": "cifar-10-batches-py/data_batch_3",
    "cifar100": "cifar-100-python/meta",
    "octmnist": "octmnist.npz",
}


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
    with pytest.raises(BadFile, match="checksum is wrong"):
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
    with pytest.raises(BadFile, match=r"data_batch_3: its checksum is wrong"):
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


class Server:
    """Files over real HTTP, on a socket that is not one of the network's; it breaks off in the middle when told to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.asked: list[tuple[str, int]] = []
        self.breaks: dict[str, list[int]] = {}
        self.ranges = True

    def open(self, request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
        name = request.full_url.rpartition("/")[2]
        content = (self.folder / name).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", request.get_header("Range") or "")
        start = int(asked[1]) if asked and self.ranges else 0
        self.asked.append((name, start))
        if asked and start >= len(content):
            raise urllib.error.HTTPError(
                request.full_url, 416, "range not satisfiable", http.client.HTTPMessage(), None
            )
        sent = content[start:]
        if self.breaks.get(name):
            sent = sent[: self.breaks[name].pop(0)]
        status = "206 Partial Content" if asked and self.ranges else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content) - start}\r\n\r\n".encode()
        here, there = socket.socketpair()
        threading.Thread(target=lambda: (there.sendall(head + sent), there.close()), daemon=True).start()
        answer = http.client.HTTPResponse(here)
        answer.begin()
        here.close()
        return answer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    served = Server(tmp_path / "server")
    monkeypatch.setattr(urllib.request, "urlopen", served.open)
    return served


@pytest.fixture
def fetched(tmp_path: Path, server: Server) -> tuple[Path, bytes, str]:
    """A file on the server, where it is to go, and its checksum."""
    content = bytes(range(256)) * 4000
    (server.folder / "set.gz").write_bytes(content)
    return tmp_path / "here" / "set.gz", content, md5(server.folder / "set.gz")


def test_a_broken_link_is_taken_up_where_it_broke(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    server.breaks["set.gz"] = [300_000, 500_000]
    _download.fetch(["http://server/set.gz"], path, digest)
    assert path.read_bytes() == content
    assert server.asked == [("set.gz", 0), ("set.gz", 300_000), ("set.gz", 800_000)]
    assert [one.name for one in path.parent.iterdir()] == ["set.gz"]


def test_what_an_earlier_run_got_is_not_fetched_again(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    server.breaks["set.gz"] = [300_000, 0]
    with pytest.raises(_download.NotFetched, match="broke off"):
        _download.fetch(["http://server/set.gz"], path, digest)
    assert not path.exists()
    server.asked.clear()
    _download.fetch(["http://server/set.gz"], path, digest)
    assert (path.read_bytes(), server.asked) == (content, [("set.gz", 300_000)])


def test_a_server_without_ranges_begins_again(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    server.ranges = False
    path.parent.mkdir()
    (path.parent / "set.gz.part").write_bytes(content[:1000])
    _download.fetch(["http://server/set.gz"], path, digest)
    assert path.read_bytes() == content


def test_a_part_that_is_whole_only_needs_its_name(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    path.parent.mkdir()
    (path.parent / "set.gz.part").write_bytes(content)
    _download.fetch(["http://server/set.gz"], path, digest)
    assert path.read_bytes() == content


def test_another_file_is_thrown_away_and_the_next_address_asked(
    server: Server, fetched: tuple[Path, bytes, str]
) -> None:
    path, content, digest = fetched
    (server.folder / "login.html").write_bytes(b"a login page of the hotel")
    with pytest.raises(_download.NotFetched, match="login.html sends another file"):
        _download.fetch(["http://server/login.html"], path, digest)
    assert list(path.parent.iterdir()) == []
    _download.fetch(["http://server/login.html", "http://server/set.gz"], path, digest)
    assert path.read_bytes() == content


def test_octmnist_is_fetched(root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    small_octmnist(tmp_path, monkeypatch)
    (tmp_path / "octmnist.npz").rename(server.folder / "octmnist.npz")
    assert len(data.load("octmnist").train) == 400
    assert server.asked == [("octmnist.npz", 0)]


def test_an_interrupted_download_is_not_trusted_and_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    elsewhere = tmp_path / "elsewhere"
    small_mnist(elsewhere, monkeypatch)
    resources = []
    for name, _ in datasets.MNIST.resources:
        plain = elsewhere / "MNIST" / "raw" / name.removesuffix(".gz")
        (server.folder / name).write_bytes(gzip.compress(plain.read_bytes()))
        resources.append((name, md5(server.folder / name)))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    first, labels, third, last = (name for name, _ in resources)

    server.breaks[third] = [100] + [0] * len(datasets.MNIST.mirrors)
    with pytest.raises(UserError, match=r"broke off.*goes on where it stopped"):
        data.load("mnist")
    raw = root / "MNIST" / "raw"
    assert (raw / f"{third}.part").stat().st_size == 100 and not (raw / third.removesuffix(".gz")).exists()

    server.asked.clear()
    assert len(data.load("mnist").test) == 30
    assert server.asked == [(third, 100), (last, 0)]

    server.asked.clear()  # complete: nothing is fetched; an extracted file that was deleted is made from its archive
    (raw / labels.removesuffix(".gz")).unlink()
    assert len(data.load("mnist").test) == 30
    assert server.asked == []


def test_an_archive_with_a_wrong_checksum_is_told_and_not_extracted(root: Path, server: Server) -> None:
    (server.folder / "cifar-100-python.tar.gz").write_bytes(b"a login page of the hotel")
    with pytest.raises(UserError, match=r"cifar-100-python.tar.gz sends another file than the official one"):
        data.load("cifar100")
    assert list(root.iterdir()) == []


def test_emnist_is_made_from_its_one_archive(
    root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    elsewhere = tmp_path / "elsewhere"
    small_emnist_balanced(elsewhere, monkeypatch)
    archive = server.folder / "gzip.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for path in (elsewhere / "EMNIST" / "raw").iterdir():
            made.writestr(f"gzip/{path.name}.gz", gzip.compress(path.read_bytes(), 1))
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(archive))
    assert len(data.load("emnist-balanced").test) == 47
    assert server.asked == [("gzip.zip", 0)]


def test_a_part_of_a_data_set_is_balanced_and_keeps_its_name() -> None:
    whole, part = data.load("fashion-mnist-mini"), data.load("fashion-mnist-mini@200,50")
    assert (part.name, len(part.train), len(part.test)) == ("fashion-mnist-mini@200,50", 200, 50)
    assert np.bincount(part.train.labels).tolist() == [20] * 10
    assert data.split_hash(part) not in (data.split_hash(whole), data.split_hash(data.load("fashion-mnist-mini@201")))
    assert len(data.load("fashion-mnist-mini@200").test) == len(whole.test)
    # The test images are the official ones, whatever part of them.
    assert np.array_equal(part.test.images, whole.test.images[part.test.index])


@pytest.mark.parametrize("part", ["", "x", "-5", "9", "9999999", "100,", "100,5", "100,50,50", "1e3"])
def test_a_part_that_is_none_is_told(part: str) -> None:
    with pytest.raises(UserError, match=f"data set 'fashion-mnist-mini@{part}'"):
        data.load(f"fashion-mnist-mini@{part}")
    with pytest.raises(UnknownName, match="Did you mean 'cifar10'"):
        data.load("cifar1@100")


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBENCH_CACHE")
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert data.folder() == Path("/home/someone/.cache/edgebench/data")
    monkeypatch.setenv("EDGEBENCH_CACHE", "/var/cache/eb")
    assert data.folder() == Path("/var/cache/eb/data")
    monkeypatch.setenv("EDGEBENCH_DATA", "~/sets")
    assert data.folder() == Path("/home/someone/sets")


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
