"""Files that take images as bytes: the same answers as the files that take prepared numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from edgebench.networks import data
from edgebench.networks.data import Dataset
from edgebench.schema import bundle, tensors
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from edgebench.train import train
from exporters.arithmetic import image_files
from exporters.arithmetic.folding import AS_OPERATORS, AS_QUANTISATION, coefficients
from exporters.tflite_edit import folding
from tests.conftest import DATA, run_cli
from tests.support.exported import coloured as coloured

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "ai_edge_litert"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

GREY = Preprocessing((0.286,), (0.353,))
COLOURED = Preprocessing((0.2, 0.3, 0.4), (0.2, 0.25, 0.3))


def answers(plugin: str, path: Path, images: Path, preprocessing: Preprocessing, *, folded: bool) -> Any:
    """As a worker gets them: what the artifact says to every image."""
    opened = exporters.load(plugin).open_artifact(path)
    spec = bundle.raw(opened.inputs[0]) if folded else opened.inputs[0]
    return np.concatenate([opened.run([one])[0] for one in image_files.each_batch(images, preprocessing, spec, 1)])


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "grey.npy"
    np.save(path, data.load("fashion-mnist-mini").test.images[:200])
    return path


def fold(plugin: str, source: Path, out: Path, preprocessing: Preprocessing) -> str:
    how = exporters.load(plugin).fold(source, out, preprocessing)
    (spec,) = exporters.load(plugin).open_artifact(out).inputs
    assert spec.dtype == "uint8"
    return how


@pytest.mark.parametrize("name", ["onnx-fp32.onnx", "onnx-int8.onnx", "tflite-fp32.tflite", "tflite-int8.tflite"])
def test_bytes_are_answered_like_prepared_numbers(grey: Path, tmp_path: Path, name: str) -> None:
    plugin = name.partition("-")[0]
    how = fold(plugin, DATA / "bundle" / name, tmp_path / name, GREY)
    assert how == (AS_QUANTISATION if name == "tflite-int8.tflite" else AS_OPERATORS)
    before = answers(plugin, DATA / "bundle" / name, grey, GREY, folded=False)
    after = answers(plugin, tmp_path / name, grey, GREY, folded=True)
    if "fp32" in name:
        assert tensors.relative_error(after, before) < 1e-6
    else:
        assert np.array_equal(after, before), "not one step of the quantisation may change"


def test_int8_whose_steps_are_not_those_of_a_byte_gets_operators(grey: Path, tmp_path: Path) -> None:
    other = Preprocessing((0.4,), (0.5,))
    source = DATA / "bundle" / "tflite-int8.tflite"
    assert fold("tflite", source, tmp_path / "folded.tflite", other) == AS_OPERATORS
    before = answers("tflite", source, grey, other, folded=False)
    after = answers("tflite", tmp_path / "folded.tflite", grey, other, folded=True)
    assert np.array_equal(after, before)


def test_what_counts_as_the_steps_of_a_byte() -> None:
    def steps(preprocessing: Preprocessing, scale: float, zero_point: int, channels: int = 1) -> float:
        spec = TensorSpec("x", (1, 2, 2, channels), "int8", "NHWC", scale, zero_point)
        return folding.deviation_steps(spec, *coefficients(preprocessing, spec))

    assert steps(Preprocessing((0.0,), (1.0,)), 1 / 255, -128) == pytest.approx(0, abs=1e-3)
    assert steps(Preprocessing((0.5,), (0.5,)), 2 / 255, 0) == pytest.approx(0.5, abs=1e-3)
    assert steps(Preprocessing((0.0,), (1.0,)), 1 / 250, -128) == pytest.approx(5, abs=1e-2)
    assert steps(COLOURED, 1 / 255 / 0.25, -51, channels=3) > 20, "one step for all channels fits one of them"


def test_a_signature_takes_bytes_too(tmp_path: Path) -> None:
    """What apps call, instead of inputs by number."""
    from ai_edge_litert.interpreter import Interpreter

    fold("tflite", DATA / "bundle" / "tflite-fp32.tflite", tmp_path / "folded.tflite", GREY)
    interpreter = Interpreter(str(tmp_path / "folded.tflite"))
    (runner,) = (interpreter.get_signature_runner(name) for name in interpreter.get_signature_list())
    ((name, details),) = runner.get_input_details().items()
    assert details["dtype"] is np.uint8
    (answer,) = runner(**{name: np.zeros((1, 28, 28, 1), np.uint8)}).values()
    assert answer.shape == (1, 10)


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (1, 3, 5, 2)), ("NHWC", (1, 5, 2, 3)), ("NC", (1, 30))])
def test_every_channel_is_prepared_by_itself(tmp_path: Path, layout: str, shape: tuple[int, ...]) -> None:
    """A network that answers its own input, in each layout."""
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("Flatten", ["x"], ["y"])
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape[1:]])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 30])
    graph = helper.make_graph([node], "g", [source], [answer])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "net.onnx"
    )
    images = np.random.default_rng(0).integers(0, 256, (5, 5, 2, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    fold("onnx", tmp_path / "net.onnx", tmp_path / "folded.onnx", COLOURED)
    found = answers("onnx", tmp_path / "folded.onnx", tmp_path / "images.npy", COLOURED, folded=True)
    wanted = (images / 255 - COLOURED.mean) / COLOURED.std
    if layout != "NHWC":
        wanted = wanted.transpose(0, 3, 1, 2)
    assert np.allclose(found, wanted.reshape(5, -1), atol=1e-6)


@pytest.mark.parametrize("name", ["onnx-fp32.onnx", "onnx-int8.onnx"])
def test_a_folded_file_loads_where_the_other_did(tmp_path: Path, name: str) -> None:
    import onnx

    fold("onnx", DATA / "bundle" / name, tmp_path / name, GREY)
    before, after = onnx.load(DATA / "bundle" / name), onnx.load(tmp_path / name)
    assert after.ir_version == before.ir_version
    assert list(after.opset_import) == list(before.opset_import)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_torch_archives_are_folded(tmp_path: Path, dtype: str) -> None:
    import torch
    from torch import nn

    network = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5)).eval().to(getattr(torch, dtype))
    )
    image = torch.zeros(1, 3, 4, 3, dtype=getattr(torch, dtype))
    torch.export.save(torch.export.export(network, (image,)), str(tmp_path / "net.pt2"))
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (9, 4, 3, 3), np.uint8))
    assert fold("torch", tmp_path / "net.pt2", tmp_path / "folded.pt2", COLOURED) == AS_OPERATORS
    before = answers("torch", tmp_path / "net.pt2", tmp_path / "images.npy", COLOURED, folded=False)
    after = answers("torch", tmp_path / "folded.pt2", tmp_path / "images.npy", COLOURED, folded=True)
    assert tensors.relative_error(after, before) < (1e-5 if dtype == "float32" else 5e-3)


def test_what_cannot_be_folded_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DATA / "bundle" / "onnx-fp32.onnx"
    with pytest.raises(UserError, match="no data set is named"):
        export(source, ExportOptions(formats=["onnx-fp32"], fold=True), out=tmp_path / "out")
    full = data.load("fashion-mnist-mini")
    resized = dataclasses.replace(full, preprocessing=Preprocessing((0.286,), (0.353,), (28, 28)))
    monkeypatch.setattr(data, "load", lambda name: resized)
    with pytest.raises(UserError, match="are resized for this network"):
        export(
            source, ExportOptions(formats=["onnx-fp32"], dataset="fashion-mnist-mini", fold=True), out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------ the whole story


@pytest.mark.slow
def test_folded_files_are_exported_deployed_and_measured(
    coloured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: coloured)
    network = train("ultralight", "coloured", epochs=8, out=tmp_path / "net.safetensors")
    names = ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]
    made = export(network.path, ExportOptions(formats=names, fold=True), out=tmp_path / "bundles" / "net")
    raw = coloured.test.images[data.balanced_index(coloured.test.labels, 32)]
    for artifact in made.bundle.artifacts:
        (spec,) = artifact.inputs
        assert (spec.dtype, spec.folded, spec.scale, spec.zero_point) == ("uint8", True, None, None)
        assert artifact.notes["preprocessing"] == AS_OPERATORS
        assert artifact.golden is not None
        wanted = raw if spec.layout == "NHWC" else raw.transpose(0, 3, 1, 2)
        assert (made.path / artifact.golden.inputs[0].file).read_bytes() == wanted.tobytes(), "raw images, nothing else"
        assert artifact.parity is not None
        assert artifact.parity.top1_agreement >= 0.98
        assert artifact.precision == "int8" or artifact.parity.sqnr_db > 100
    assert bundle.load(made.path) == made.bundle

    done = run_cli("deploy", "--target", "desktop-cpu", made.path, "--plan", "quick", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "desktop-cpu").glob("*.json")]
    assert len(records) == len(names)
    for record in records:
        assert record["outcome"]["status"] in ("complete", "budget"), record["outcome"]
        assert record["golden"]["passed"]
