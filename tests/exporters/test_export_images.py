"""Export of networks whose images are coloured, not square or resized."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

import exporters
from edgebench.export import ExportOptions, export
from edgebench.networks import data, training
from edgebench.networks.data import Dataset
from edgebench.schema import checkpoint
from edgebench.train import train
from tests.support.exported import coloured as coloured
from tests.support.exported import read

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)


@pytest.fixture
def coloured_checkpoint(coloured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> checkpoint.Checkpoint:
    monkeypatch.setattr(data, "load", lambda name: coloured)
    made = train("ultralight", "coloured", epochs=8, out=tmp_path / "coloured.safetensors")
    assert made.about.metrics.accuracy > 0.95
    return made


def test_a_network_of_resized_images_is_exported_and_proved_on_them(
    coloured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: coloured)
    recipe = msgspec.structs.replace(training.recipe("default", 4), resize=(24, 16))
    made = train("ultralight", "coloured", recipe=recipe, out=tmp_path / "larger.safetensors")
    assert made.about.input_shape == (3, 24, 16)
    onnx, int8 = export(
        made.path, ExportOptions(formats=["onnx-fp32", "onnx-int8"]), out=tmp_path / "out"
    ).bundle.artifacts
    assert onnx.inputs[0].shape == (1, 3, 24, 16)
    assert onnx.parity and onnx.parity.top1_agreement == 1
    assert int8.parity and int8.parity.top1_agreement > 0.9


def test_layouts_of_colour_images_that_are_not_square(
    coloured: Dataset, coloured_checkpoint: checkpoint.Checkpoint, tmp_path: Path
) -> None:
    made = export(
        coloured_checkpoint.path,
        ExportOptions(formats=["onnx-fp32", "tflite-fp32", "tflite-int8"]),
        out=tmp_path / "out",
    )
    onnx, tflite, int8 = made.bundle.artifacts
    assert (onnx.inputs[0].shape, onnx.inputs[0].layout) == ((1, 3, 20, 12), "NCHW")
    assert (tflite.inputs[0].shape, tflite.inputs[0].layout) == ((1, 20, 12, 3), "NHWC")
    for artifact in (onnx, tflite, int8):
        assert artifact.parity is not None
        assert artifact.parity.top1_agreement >= 0.98
    assert tflite.parity is not None
    assert tflite.parity.sqnr_db > 100
    assert tflite.golden is not None
    inputs = read(made, tflite.golden.inputs[0], "float32", (32, 20, 12, 3))
    chosen = coloured.test.images[data.balanced_index(coloured.test.labels, 32)]
    plain = (chosen / 255 - [0.2, 0.3, 0.4]) / [0.2, 0.25, 0.3]
    assert np.allclose(inputs, plain, atol=1e-5)
