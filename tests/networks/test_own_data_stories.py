"""A user's own data from training to scoring: the commands' functions, and what they refuse."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.evaluate import evaluate
from edgebench.finetune import finetune
from edgebench.networks import data, scored_files
from edgebench.networks.scoring import ScoreChoice
from edgebench.networks.starting import StartingPoint
from edgebench.progress import Silent
from edgebench.schema import bundle, checkpoint
from edgebench.schema.bundle import Artifact, FileRef, TensorSpec
from edgebench.schema.preprocessing import Geometry
from edgebench.train import TrainOptions, train
from tests.support import pictures
from tests.support.records import make_parity

pytest.importorskip("torch")
GEOMETRY = Geometry((12,), (8, 8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = pictures.folder(tmp_path_factory.mktemp("data") / "photos", count=20)
    pictures.write(root / "cat" / "wide.png", 99, (20, 10))
    return root


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = TrainOptions(preprocessing="imagenet", geometry=GEOMETRY)
    out = tmp_path_factory.mktemp("checkpoints") / "net.safetensors"
    return train("mlp-small", str(photos), epochs=1, options=options, out=out).path


def test_a_checkpoint_keeps_how_images_are_read(photos: Path, trained: Path) -> None:
    about = checkpoint.load(trained).about
    assert about.dataset == str(photos)
    assert about.class_names == ("cat", "dog")
    assert about.preprocessing.geometry == GEOMETRY
    assert about.preprocessing.mean == (0.485, 0.456, 0.406)
    assert evaluate(trained, pictures=False).accuracy == about.metrics.accuracy


def test_an_older_checkpoint_has_no_geometry(trained: Path) -> None:
    content = msgspec.to_builtins(checkpoint.load(trained).about)
    del content["preprocessing"]["geometry"]
    older = checkpoint._upgrade({**content, "schema_version": 2})
    assert msgspec.convert(older, checkpoint.Metadata).preprocessing.geometry is None


def test_fine_tuning_and_evaluation_take_other_data_of_these_classes(trained: Path, tmp_path: Path) -> None:
    other = pictures.folder(tmp_path / "other", count=20, seed=3)
    assert evaluate(StartingPoint(str(trained), str(other)), pictures=False).dataset == str(other)
    tuned = finetune(StartingPoint(str(trained), str(other)), epochs=1, out=tmp_path / "tuned.safetensors")
    assert tuned.about.dataset == str(other)
    birds = pictures.folder(tmp_path / "birds", ("cat", "eel"))
    with pytest.raises(UserError, match="its classes cat, dog"):
        evaluate(StartingPoint(str(trained), str(birds)), pictures=False)


def test_training_streams_what_is_not_kept(
    photos: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgebench.networks import lazy_images

    monkeypatch.setattr(lazy_images, "MOST_BYTES", 0)
    options = TrainOptions(preprocessing="imagenet", geometry=GEOMETRY)
    streamed = train("mlp-small", str(photos), epochs=1, options=options, out=tmp_path / "net.safetensors")
    kept = checkpoint.load(trained)
    assert all(np.array_equal(kept.tensors()[name], value) for name, value in streamed.tensors().items())


def test_nothing_is_left_behind_where_data_is_refused(tmp_path: Path) -> None:
    root = pictures.folder(tmp_path / "photos")
    (root / "cat" / "0.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="--skip-broken"):
        train("mlp-small", str(root), epochs=1, out=tmp_path / "net.safetensors")
    assert not list(tmp_path.glob("*.safetensors*"))
    with pytest.raises(UserError, match="fixed splits"):
        train("mlp-small", "fashion-mnist-mini?seed=1", epochs=1, out=tmp_path / "net.safetensors")


def test_a_device_gets_the_images_of_the_export_or_nothing(
    photos: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))
    about = checkpoint.load(trained).about
    tested = data.prepared(about.dataset, about.preprocessing)
    made = Artifact(
        name="net-onnx-fp32",
        format="onnx",
        precision="fp32",
        content=FileRef("net.onnx", "0" * 64, 1),
        inputs=(TensorSpec("x", (1, 3, 8, 8), "float32", "NCHW"),),
        parity=make_parity(about.dataset, len(tested.test), 0.5, 0.5),
        preprocessing=about.preprocessing,
        notes={bundle.TEST_SET: tested.test.digest()},
    )
    load = partial(scored_files.loaded, progress=Silent())
    found = scored_files.question(LocalArtifact(made, tmp_path), ScoreChoice(), load).test_set()
    ((sha256, count),) = found.test.pieces
    fed = np.fromfile(found.files[sha256], np.float32).reshape(count, 3, 8, 8)
    assert np.array_equal(fed, about.preprocessing.apply(tested.test.images[:]))
    changed = msgspec.structs.replace(made, notes={bundle.TEST_SET: "0" * 64})
    with pytest.raises(UserError, match="changed since net-onnx-fp32 was exported"):
        scored_files.question(LocalArtifact(changed, tmp_path), ScoreChoice(), load)
    copy = tmp_path / "elsewhere"
    shutil.copytree(photos, copy)
    moved = scored_files.question(LocalArtifact(made, tmp_path), ScoreChoice(str(copy)), load).test_set()
    assert moved.test.pieces == found.test.pieces
    with pytest.raises(UserError, match="not those that net-onnx-fp32 was exported with"):
        scored_files.question(LocalArtifact(changed, tmp_path), ScoreChoice(str(copy)), load)
