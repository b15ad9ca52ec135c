from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from edgebench.networks import data, lazy_images
from edgebench.schema import bundle
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Geometry
from edgebench.train import TrainOptions, train
from exporters.arithmetic import image_files
from tests.support import pictures

pytestmark = pytest.mark.export
pytest.importorskip("torch")
pytest.importorskip("onnx")
GEOMETRY = Geometry((12,), (8, 8))


def test_an_export_tested_on_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MOST_BYTES", 1000)  # the test images are listed, not copied
    photos = pictures.folder(tmp_path / "photos", count=40)
    options = TrainOptions(geometry=GEOMETRY)
    trained = train("mlp-small", str(photos), epochs=1, options=options, out=tmp_path / "net.safetensors")
    made = export(trained.path, ExportOptions(formats=("onnx-fp32", "onnx-int8")), out=tmp_path / "bundle").bundle
    assert made.class_names == ("cat", "dog")
    assert bundle.load(tmp_path / "bundle").class_names == made.class_names
    for one in made.artifacts:
        assert one.preprocessing is not None and one.preprocessing.geometry == GEOMETRY
        assert one.parity is not None and one.parity.images == 12
        assert one.parity.parent_accuracy == trained.about.metrics.accuracy
        assert one.notes[bundle.TEST_SET] == data.prepared(str(photos), one.preprocessing).test.digest()

    foreign = pictures.folder(tmp_path / "foreign", ("cat", "eel"))
    with pytest.raises(UserError, match="it has no class 'eel'"):
        export(trained.path, ExportOptions(int8=True, dataset=str(foreign)), out=tmp_path / "other")
    with pytest.raises(UserError, match="was trained on images shorter side resized to 12"):
        export(trained.path, ExportOptions(int8=True, geometry=Geometry((16,))), out=tmp_path / "other")
    assert not (tmp_path / "other").exists()

    many = pictures.folder(tmp_path / "many", ("cat", "dog", "eel"))
    with pytest.raises(UserError, match="it has 2 outputs, the images have labels up to 2"):
        export(
            tmp_path / "bundle" / "onnx-fp32.onnx",
            ExportOptions(int8=True, dataset=str(many), preprocessing="-1..1", geometry=GEOMETRY),
            out=tmp_path / "other",
        )
    assert not (tmp_path / "other").exists()


def test_images_for_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = data.prepared(str(pictures.folder(tmp_path / "photos")), geometry=GEOMETRY)
    images, whole = made.train.images, made.train.images[:]
    copied = image_files.write(tmp_path, "copied", images)
    assert copied.suffix == ".npy" and np.array_equal(image_files.read(copied), whole)
    monkeypatch.setattr(image_files, "MOST_BYTES", 0)
    listed = image_files.write(tmp_path, "listed", images)
    assert isinstance(image_files.read(listed), lazy_images.LazyImages)
    some = image_files.take(listed, np.array([3, 1]), "some")
    assert np.array_equal(image_files.read(some)[:], whole[[3, 1]])
    spec = TensorSpec("image", (1, *made.input_shape), "float32", "NCHW")
    fed = np.concatenate(list(image_files.each_batch(listed, made.preprocessing, spec, 1)))
    assert np.array_equal(fed, made.preprocessing.apply(whole))
