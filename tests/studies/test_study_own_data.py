"""Studies of the user's own data: found beside the study file, and part of what a step is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgebench.errors import BadFile
from edgebench.networks.own_data import address
from edgebench.schema import checkpoint
from edgebench.schema.preprocessing import Geometry
from edgebench.studies import study
from edgebench.studies.study import file_checks, matrix, own_data
from edgebench.studies.study.matrix import StudyStep
from edgebench.studies.study.store import NETWORK
from tests.support import pictures
from tests.support.studies import minimal, write
from tests.support.studies import without_pictures as without_pictures

pytest.importorskip("torch")
pytest.importorskip("PIL")


def of_photos(folder: Path, **keys: Any) -> Path:
    pictures.folder(folder / "photos", count=20)
    whole = minimal(**{"datasets": ["photos"], **keys})
    whole["claims"] = [{"says": "x", "part": "mlp", "of": {"variant": "dense", "dataset": "photos"}, "at_least": 0.0}]
    return write(folder / "s.yaml", whole)


def trainings(path: Path) -> list[StudyStep]:
    parts = matrix.parts(file_checks.load(path))
    return [one for one in matrix.expand(parts, own_data.read(parts, path.parent, parts)).steps.values() if one.model]


@pytest.mark.usefixtures("without_pictures")
def test_a_study_of_a_folder_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = of_photos(tmp_path / "project", geometry={"resize": [12], "crop": [8, 8]}, preprocessing="imagenet")
    options = study.StudyOptions(measure=False)
    made = study.run(path, options, folder=tmp_path / "results")
    assert not made.failures and made.claims[0].standing != "unsupported"
    (network,) = (tmp_path / "results").rglob(NETWORK)
    about = checkpoint.load(network).about
    assert about.dataset == str(tmp_path / "project" / "photos")
    assert about.preprocessing.geometry == Geometry((12,), (8, 8)) and about.class_names == ("cat", "dog")
    assert about.preprocessing.mean == (0.485, 0.456, 0.406)

    before = network.stat().st_mtime_ns
    study.run(path, options, folder=tmp_path / "results")
    assert network.stat().st_mtime_ns == before, "what is made stays"
    pictures.write(tmp_path / "project" / "photos" / "cat" / "3.png", 4711)
    study.run(path, options, folder=tmp_path / "results")
    assert len(list((tmp_path / "results").rglob(NETWORK))) == 2, "other images are another training"


@pytest.mark.parametrize("named", ["photos", "./photos/@28,6", "photos?seed=3", "list.csv", "own_study_data:make"])
def test_what_a_study_file_can_name(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = of_photos(tmp_path / "project", datasets=[named])
    lines = [f"photos/{one.parent.name}/{one.name},{one.parent.name}" for one in path.parent.glob("photos/*/*.png")]
    (path.parent / "list.csv").write_text("path,label\n" + "\n".join(sorted(lines)))
    (tmp_path / "own_study_data.py").write_text(
        "import numpy as np\ndef make(): return np.zeros((20, 8, 8, 3), np.uint8) + np.arange(20, dtype=np.uint8)"
        "[:, None, None, None], np.arange(20) % 2\n"
    )
    (one,) = trainings(path)
    assert one.content and address.train_images(one.dataset) == (28 if "@" in named else None)
    assert one.dataset.startswith("own_study" if ":" in named else str(path.parent / named[:4].strip("./")))


def test_keys_of_built_in_data_are_those_of_before() -> None:
    old = StudyStep("train", "x", model="mlp-small", dataset="mnist", recipe="default", choices={}, epochs=1)
    assert old.key == "71e77648c4953531"


def test_data_that_cannot_be_used_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    path = of_photos(tmp_path / "project")
    pictures.write(path.parent / "photos" / "cat" / "wide.png", 1, (20, 10))
    with pytest.raises(BadFile, match=r"part 'mlp', .*/photos: its images have 2 sizes.*Give the part a geometry"):
        study.run(path, study.StudyOptions(measure=False), folder=tmp_path / "results")
    assert not list(tmp_path.rglob(NETWORK))


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"part 'mlp': .*/project/nowhere: there is no such file or folder"):
        file_checks.load(of_photos(tmp_path / "project", datasets=["./nowhere"]))
    with pytest.raises(BadFile, match="data set: there is no 'nowhere'"):
        file_checks.load(of_photos(tmp_path / "other", datasets=["nowhere"]))
    with pytest.raises(BadFile, match="preprocessing: there is no 'imagnet'.*Did you mean 'imagenet'"):
        file_checks.load(of_photos(tmp_path / "third", preprocessing="imagnet"))
    with pytest.raises(BadFile, match="built-in data sets have fixed splits"):
        file_checks.load(of_photos(tmp_path / "fourth", datasets=["mnist?seed=1"]))
