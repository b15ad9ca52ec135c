from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.networks import data, own_data
from edgebench.networks.own_data import listing, scan
from edgebench.progress import Silent
from edgebench.schema.preprocessing import Geometry
from tests.support import pictures

pytest.importorskip("PIL")


@dataclasses.dataclass
class Heard(Silent):
    lines: list[str] = dataclasses.field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def refused(where: Path | str, *, geometry: Geometry | None = None) -> str:
    with pytest.raises(UserError) as caught:
        data.prepared(str(where), geometry=geometry)
    return str(caught.value)


def test_a_folder_of_class_folders_is_split_by_content(tmp_path: Path) -> None:
    root, heard = pictures.folder(tmp_path / "photos", count=20), Heard()
    made = data.prepared(str(root), progress=heard)
    assert made.class_names == ("cat", "dog")
    assert made.input_shape == (3, 8, 8)
    assert [len(made.train), len(made.validation), len(made.test)] == [28, 6, 6]
    assert np.bincount(made.test.labels).tolist() == [3, 3]
    assert heard.lines == ["28 train, 6 validation, 6 test images (split by content and seed 0, each class by itself)"]

    renamed = root / "cat" / "0.png"
    renamed.rename(root / "cat" / "zzz.png")
    again = data.prepared(str(root))
    assert sorted(map(bytes, again.test.images[:])) == sorted(map(bytes, made.test.images[:]))
    other = data.prepared(f"{root}?seed=1")
    assert other.name == f"{root}?seed=1"
    assert sorted(map(bytes, other.test.images[:])) != sorted(map(bytes, made.test.images[:]))
    assert data.split_hash(other) != data.split_hash(made)


def test_copies_of_an_image_are_in_one_split(tmp_path: Path) -> None:
    root = pictures.folder(tmp_path / "photos")
    for name in ("cat", "dog"):
        for image in (root / name).glob("*.png"):
            os.link(image, image.with_name(f"copy of {image.name}"))
    made = data.prepared(str(root))
    seen = [set(map(bytes, split.images[:])) for split in (made.train, made.validation, made.test)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_folders_for_splits(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        pictures.folder(tmp_path / split, count=3 + number, seed=number)
    heard = Heard()
    made = data.prepared(str(tmp_path), progress=heard)
    assert [len(made.train), len(made.validation), len(made.test)] == [6, 8, 10]
    assert not heard.lines


def test_train_and_val_alone_are_read_as_train_and_test(tmp_path: Path) -> None:
    pictures.folder(tmp_path / "train", count=10)
    pictures.folder(tmp_path / "val", count=4, seed=1)
    heard = Heard()
    made = data.prepared(str(tmp_path), progress=heard)
    assert [len(made.train), len(made.validation), len(made.test)] == [16, 4, 8]
    assert "val is the test split" in heard.lines[0]


def test_test_images_that_are_training_images_too_are_said(tmp_path: Path) -> None:
    pictures.folder(tmp_path / "train", count=10)
    pictures.folder(tmp_path / "test", count=4, seed=1)
    os.link(tmp_path / "train" / "cat" / "0.png", tmp_path / "test" / "cat" / "again.png")
    heard = Heard()
    data.prepared(str(tmp_path), progress=heard)
    assert "1 of 9 test images are training or validation images too" in heard.lines[-1]


def test_a_part_of_it(tmp_path: Path) -> None:
    root = pictures.folder(tmp_path / "photos", count=20)
    made = data.load(f"{root}@10,4")
    assert [len(made.train), len(made.test)] == [10, 4]
    assert made.name == f"{root}@10,4"
    assert data.load(made.name).name == made.name
    assert "'photos@1" not in refused(f"{root}@1000")


def test_built_in_names_win_over_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures.folder(tmp_path / "mnist")
    pictures.folder(tmp_path / "photos")
    assert not own_data.is_own("mnist", data.names())
    assert own_data.is_own("./mnist", data.names())
    assert data.load("photos").name == str(tmp_path / "photos")
    with pytest.raises(UnknownName):
        data.load("mnits")
    with pytest.raises(BadFile, match="no such file or folder"):
        data.load("./mnits")


def test_one_class_an_empty_class_and_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.folder(tmp_path / "one", ("cat",))
    assert "one class" in refused(tmp_path / "one")
    (pictures.folder(tmp_path / "empty") / "eel").mkdir()
    assert "there is no image of 'eel'" in refused(tmp_path / "empty")
    monkeypatch.setattr(listing, "MOST_CLASSES", 1)
    assert "it has 3 classes, edgebench scores up to 1" in refused(tmp_path / "empty")
    (tmp_path / "nothing").mkdir()
    assert "no classes" in refused(tmp_path / "nothing")


def test_a_class_that_only_the_test_split_has(tmp_path: Path) -> None:
    pictures.folder(tmp_path / "train")
    pictures.folder(tmp_path / "test", ("cat", "dog", "eel"), seed=1)
    assert "train/ has no class of this name" in refused(tmp_path)


def test_a_broken_image_is_named_or_left_out(tmp_path: Path) -> None:
    root = pictures.folder(tmp_path / "photos")
    whole = (root / "cat" / "3.png").read_bytes()
    (root / "cat" / "3.png").write_bytes(whole[: len(whole) // 2])
    (root / "dog" / "bad.jpg").write_text("no image")
    (root / "dog" / "notes.txt").write_text("left out")
    os.mkfifo(root / "dog" / "pipe.png")
    said = refused(root)
    assert "cat/3.png" in said and "2 more" in said and "--skip-broken" in said
    heard = Heard()
    made = data.prepared(f"{root}?skip-broken", progress=heard)
    assert len(made.train) + len(made.validation) + len(made.test) == 19
    assert any("3 broken images were left out" in line for line in heard.lines)
    assert any("1 files that are not images" in line for line in heard.lines)


def test_images_of_several_sizes_need_a_geometry(tmp_path: Path) -> None:
    root = pictures.folder(tmp_path / "photos")
    pictures.write(root / "cat" / "wide.png", 99, (20, 10))
    assert "2 sizes" in refused(root) and "--resize 256 --crop 224" in refused(root)
    assert "2 sizes after shorter side resized to 6" in refused(root, geometry=Geometry((6,)))
    assert "--crop takes 12x12" in refused(root, geometry=Geometry(crop=(12, 12)))
    made = data.prepared(str(root), geometry=Geometry((6,), (4, 4)))
    assert made.input_shape == (3, 4, 4)
    assert made.preprocessing.geometry == Geometry((6,), (4, 4))


def test_what_was_seen_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pictures.folder(tmp_path / "photos")
    first = data.prepared(str(root))
    looked: list[str] = []
    seen = scan._seen
    monkeypatch.setattr(scan, "_seen", lambda file: looked.append(file) or seen(file))
    assert data.prepared(str(root)).content == first.content
    assert not looked
    pictures.write(root / "cat" / "3.png", 4711)
    assert data.prepared(str(root)).content != first.content
    assert looked == [str(root / "cat" / "3.png")]
