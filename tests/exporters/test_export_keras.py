"""Export from Keras files and TensorFlow's saved models, by the real converter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import exporters
from edgebench.errors import UserError
from edgebench.export import Exported, ExportOptions, export
from edgebench.progress import Silent
from edgebench.schema import bundle
from edgebench.schema.bundle import Bundle
from tests.support.traces import exported_leaving_nothing

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

KERAS = """
import keras
def network(*first):
    return keras.Sequential([keras.Input((20, 12, 3)), *first, keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.5),
        keras.layers.Dense(6, bias_initializer="ones")])
network().save("net.keras")
network().save("net.h5")
network().export("saved", verbose=False)
network(keras.layers.Lambda(lambda x: x * 2)).save("code.keras")
"""


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made in a process of its own: TensorFlow must not be imported before torch."""
    if not exporters.importlib.util.find_spec("tensorflow"):
        pytest.skip("needs tensorflow")
    made = tmp_path_factory.mktemp("keras")
    subprocess.run([sys.executable, "-c", KERAS], cwd=made, check=True, capture_output=True)
    return made


@dataclass(frozen=True)
class Told:
    made: Exported
    said: list[str]


@pytest.fixture(scope="module")
def by_default(keras_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """net.keras, without saying in which formats."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        progress = Silent()
        patch.setattr(progress, "say", said.append)
        made = export(keras_files / "net.keras", out=tmp_path_factory.mktemp("default") / "out", progress=progress)
    return Told(made, said)


def check(made: Bundle) -> None:
    (artifact,) = [one for one in made.artifacts if one.precision == "fp32"]
    assert (artifact.inputs[0].shape, artifact.inputs[0].layout) == ((1, 20, 12, 3), "NHWC")
    assert (artifact.macs, artifact.parameters) == (18 * 10 * 8 * 27 + 8 * 6, 8 * 27 + 8 + 8 * 6 + 6)
    assert made.source["kind"] == "keras"
    assert artifact.golden is not None


@pytest.mark.slow
def test_a_keras_network_becomes_tflite(by_default: Told) -> None:
    check(by_default.made.bundle)
    with pytest.raises(UserError, match="cannot be made from this source.*Choose from: tflite-fp32"):
        exporters.choose(["onnx-fp32"], "keras")


@pytest.mark.slow
def test_a_saved_model_becomes_tflite(keras_files: Path, tmp_path: Path) -> None:
    check(export(keras_files / "saved", ExportOptions(formats=["tflite-fp32"]), out=tmp_path / "out").bundle)


@pytest.mark.slow
def test_an_older_keras_file_becomes_tflite_and_leaves_nothing_else(
    keras_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = str(keras_files / "net.h5"), "--formats", "tflite-fp32"
    check(bundle.load(exported_leaving_nothing(tmp_path, monkeypatch, *typed)))


@pytest.mark.slow
def test_a_keras_network_becomes_tflite_only_and_that_is_said(by_default: Told) -> None:
    first = by_default.said[0]
    assert first.startswith("a Keras network is exported to TFLite only (tflite-fp32") and "ONNX" in first


@pytest.mark.slow
def test_a_keras_file_with_code_in_it(keras_files: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without running code"):
        export(keras_files / "code.keras", ExportOptions(formats=["tflite-fp32"]), out=tmp_path / "out")
