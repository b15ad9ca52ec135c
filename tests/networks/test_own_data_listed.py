"""Manifests, arrays, and code of the user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebench.errors import UserError
from edgebench.networks import data
from edgebench.networks.lazy_images import LazyImages
from edgebench.schema.preprocessing import Geometry
from tests.support import pictures

pytest.importorskip("PIL")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def refused(where: Path | str, *, geometry: Geometry | None = None) -> str:
    with pytest.raises(UserError) as caught:
        data.prepared(str(where), geometry=geometry)
    return str(caught.value)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return pictures.folder(tmp_path / "photos")


def rows(photos: Path) -> list[dict[str, Any]]:
    return [
        {"path": f"photos/{image.parent.name}/{image.name}", "label": image.parent.name}
        for image in sorted(photos.glob("*/*.png"))
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_manifest(suffix: str, photos: Path) -> None:
    listed = rows(photos)
    for number, row in enumerate(listed):
        row["split"] = ("train", "train", "val", "test")[number % 4]
    path = photos.parent / f"photos{suffix}"
    if suffix == ".csv":
        path.write_text("path,label,split\n" + "".join(f"{r['path']},{r['label']},{r['split']}\n" for r in listed))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in listed))
    made = data.load(str(path))
    assert [len(made.train), len(made.validation), len(made.test)] == [10, 5, 5]
    assert made.class_names == ("cat", "dog")
    from PIL import Image

    first = listed[3]
    assert np.array_equal(made.test.images[0], np.asarray(Image.open(photos.parent / first["path"])))


def test_a_manifest_of_numbers_without_splits(photos: Path) -> None:
    path = photos.parent / "a.jsonl"
    listed = [row | {"label": ["cat", "dog"].index(row["label"])} for row in rows(photos)]
    path.write_text("".join(json.dumps(row) + "\n" for row in listed))
    made = data.load(str(path))
    assert made.class_names == ("0", "1")
    assert len(made.test) == 4
    path.write_text("".join(json.dumps(row | {"label": 2 * row["label"]}) + "\n" for row in listed))
    assert "there is no image of 1" in refused(path)


def test_manifests_that_cannot_be_used(photos: Path) -> None:
    path = photos.parent / "a.csv"
    line = "photos/cat/0.png,cat"
    for text, seen in (
        ("path,label\n", "it lists no images"),
        (f"path,label\n{line}\nphotos/none.png,dog\n", "photos/none.png, which it names, is missing"),
        ("file,class\na.png,cat\n", "line 2: it has no path"),
        (f"path,label,split\n{line},tset\n", "'tset' is not a split"),
        (f"path,label,split\n{line},train\nphotos/dog/0.png,dog,\n", "1 of its 2 lines name no split"),
        (f"path,label\n{line}\n", "one class"),
        (f"path,label,split\n{line},test\nphotos/dog/0.png,dog,test\n", "no line is of the split 'train'"),
        (f"path,label,split\n{line},train\nphotos/dog/0.png,dog,test\n", "there is no image of 'dog'"),
        ("path,label\n\0\xff", "line 2"),
    ):
        path.write_text(text)
        assert seen in refused(path)
    lines = photos.parent / "a.jsonl"
    for text, seen in (("{", "cannot be read"), ("[1]", "it is not an object"), ("[" * 100_000, "cannot be read")):
        lines.write_text(text)
        assert seen in refused(lines)


def images(count: int = 40, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, *(shape or (8, 8, 3))), np.uint8), np.arange(count) % 2


def test_arrays_in_a_file(tmp_path: Path) -> None:
    x, y = images()
    np.savez(tmp_path / "a.npz", x=x, y=y)
    made = data.load(str(tmp_path / "a.npz"))
    assert [len(made.train), len(made.validation), len(made.test)] == [28, 6, 6]
    assert np.array_equal(made.test.images, x[made.test.positions()])
    assert np.array_equal(made.test.labels, y[made.test.positions()])

    np.save(tmp_path / "x.npy", x[..., 0])
    np.save(tmp_path / "y.npy", y)
    assert data.load(str(tmp_path / "x.npy")).input_shape == (1, 8, 8)

    np.savez(tmp_path / "b.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    assert len(data.load(str(tmp_path / "b.npz")).test) == 10
    split = np.array(["train"] * 20 + ["val"] * 10 + ["test"] * 10)
    np.savez(tmp_path / "c.npz", x=x, y=y, split=split, class_names=np.array(["cat", "dog"]))
    made = data.prepared(str(tmp_path / "c.npz"), geometry=Geometry((16,), (12, 12)))
    assert (made.class_names, made.input_shape, len(made.validation)) == (("cat", "dog"), (3, 12, 12), 10)


def test_floats_are_fed_as_they_are(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((40, 8, 8, 3), np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 2)
    made = data.load(str(tmp_path / "a.npz"))
    fed = made.preprocessing.apply(made.test.images[:])
    assert np.array_equal(fed, x[made.test.positions()].transpose(0, 3, 1, 2))
    np.savez(tmp_path / "f.npz", x=x[:, 0, :, 0].astype(float), y=np.arange(40) % 2)
    assert data.load(str(tmp_path / "f.npz")).input_shape == (8, 1, 1)
    assert "cannot be resized" in refused(tmp_path / "a.npz", geometry=Geometry((16,)))


def test_arrays_that_cannot_be_used(tmp_path: Path) -> None:
    x, y = images()
    wrong = x.astype(np.float32)
    wrong[7, 3, 3, 0] = np.nan
    path = tmp_path / "a.npz"
    for arrays, seen in (
        ({"x": x[0, 0, 0], "y": y[:3]}, "x has the shape [3]"),
        ({"x": x[:0], "y": y[:0]}, "x has the shape [0, 8, 8, 3] and holds nothing"),
        ({"x": x[None], "y": y}, "x has the shape [1, 40, 8, 8, 3]"),
        ({"x": x, "y": y[:3]}, "there are 40 images"),
        ({"x": x, "y": y * 0.5}, "labels are integers"),
        ({"x": x, "y": y - 1}, "it has the label -1"),
        ({"x": x, "y": y * 2}, "there is no image of '1'"),
        ({"x": x, "y": y * 0}, "one class"),
        ({"x": x, "y": y * 10**12}, "it has the label 1000000000000, edgebench scores up to 10,000 classes"),
        ({"x": x, "y": y.astype(np.uint64) * np.uint64(2**63)}, "it has the label 9223372036854775808"),
        ({"x": wrong, "y": y}, "image 7 has pixels that are not numbers"),
        (
            {"x": np.where(np.isnan(wrong), 1e300, wrong.astype(float)), "y": y},
            "image 7 has pixels that are not numbers",
        ),
        ({"x": x.transpose(0, 3, 1, 2), "y": y}, "channels come last"),
        ({"x": x, "y": y, "split": np.array(["train"] * 3)}, "split has 3 names, y 40 labels"),
        ({"x": x.astype(np.int32), "y": y}, "x is int32"),
        ({"images": x}, "it needs x and y, and has images"),
        ({"x": x, "y": y.astype(object)}, "never unpickled"),
    ):
        np.savez(path, **arrays)
        assert seen in refused(path), seen
    path.write_bytes(b"a text")
    assert "it is not a file of NumPy's" in refused(path)
    path.write_bytes(b"PK nothing")
    assert str(path) in refused(path)
    np.save(tmp_path / "x.npy", x)
    assert "y.npy, which is missing" in refused(tmp_path / "x.npy")


CODE = """
import numpy as np

x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
y = np.arange(40) % 2

def pair():
    return x, y

def parts():
    return {"train": (x[:30], y[:30]), "test": (x[30:], y[30:])}

def iterable():
    return zip(x, y)

class Images:
    classes = ["cat", "dog"]
    def __len__(self):
        return 40
    def __getitem__(self, index):
        from PIL import Image
        return Image.fromarray(x[index]), int(y[index])

def floats():
    import torch
    return [(torch.from_numpy(one).permute(2, 0, 1) / 255, label) for one, label in zip(x, y)]

def single():
    return 7

def odd():
    return [(x[0], 0), (x[0, :4], 1)]

def labels():
    return [(x[0], "cat")]

thing = 3
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"own_code_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize("name", ["pair", "iterable", "Images"])
def test_code(name: str, code: str) -> None:
    made = data.load(f"{code}:{name}")
    assert [len(made.train), len(made.validation), len(made.test)] == [28, 6, 6]
    assert made.class_names == (("cat", "dog") if name == "Images" else ("0", "1"))
    assert made.input_shape == (3, 8, 8)


def test_code_with_splits_and_of_torch(code: str) -> None:
    pytest.importorskip("torch")
    assert len(data.load(f"{code}:parts").test) == 10
    made = data.load(f"{code}:floats")
    assert made.train.images.dtype == np.float32
    assert made.preprocessing.apply(made.train.images[:1]).max() <= 1
    resized = data.prepared(f"{code}:Images", geometry=Geometry((4,)))
    assert resized.input_shape == (3, 4, 4)
    assert resized.preprocessing.geometry == Geometry((4,))


def test_a_large_dataset_of_code_is_read_when_asked_for(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgebench.networks.own_data import from_code

    whole = data.load(f"{code}:Images")
    monkeypatch.setattr(from_code, "MOST_BYTES", 1000)
    made = data.load(f"{code}:Images")
    assert isinstance(made.test.images, LazyImages)
    assert np.array_equal(made.test.images[:], whole.test.images)
    assert made.content == whole.content


def test_code_that_cannot_be_used(code: str) -> None:
    for name, seen in (
        ("none", "it cannot be imported"),
        ("thing", "it is int, not a function"),
        ("single", "it returned int"),
        ("odd", "image 1 is uint8 [4, 8, 3]"),
        ("labels", "label 0 is 'cat'"),
    ):
        assert seen in refused(f"{code}:{name}"), name
    assert "it cannot be imported" in refused("no_such_module:make")
