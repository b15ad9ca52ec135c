"""Export from .onnx files of someone else, and which of them are refused."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import pytest

import exporters
from edgebench.errors import BadFile, UserError
from edgebench.export import Exported, ExportOptions, export
from edgebench.networks import data, training
from edgebench.networks.data import Dataset, Split
from edgebench.progress import Silent
from edgebench.schema import checkpoint
from tests.support.exported import ALL
from tests.support.exported import coloured as coloured
from tests.support.exported import dense as dense
from tests.support.exported import folder as folder
from tests.support.exported import mini as mini

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)


@pytest.fixture(scope="module")
def exported(dense: checkpoint.Checkpoint, folder: Path) -> Exported:
    """Only what is looked at here: everything takes several times as long."""
    return export(dense.path, ExportOptions(formats=["onnx-fp32", "onnx-int8"]), out=folder / "bundles" / "dense")


@pytest.mark.slow
def test_an_onnx_file_of_someone_else(coloured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of onnx2tf and TensorFlow, offline, with a three-channel input and with pooling that pads."""
    if not exporters.importlib.util.find_spec("onnx2tf"):  # importing it here would crash torch's compiler later
        pytest.skip("needs onnx2tf")
    import torch
    from torch import nn

    monkeypatch.setattr(data, "load", lambda name: coloured)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 10 * 6, 6),
    )  # fmt: skip
    training.fit(network, coloured, training.recipe("default", 8), seed=0, label="train", progress=Silent())
    accuracy = training.evaluate(network, coloured.test, coloured.preprocessing).accuracy
    assert accuracy > 0.95
    source = tmp_path / "theirs.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, 3, 20, 12),), str(source), dynamo=False, opset_version=13)

    made = export(source, ExportOptions(calibration="coloured"), out=tmp_path / "made")
    names = [artifact.name for artifact in made.bundle.artifacts]
    assert names == [f"theirs-{name}" for name in ALL if not name.startswith("torch")]
    assert (made.path / "onnx-fp32.onnx").read_bytes() == source.read_bytes()
    for artifact in made.bundle.artifacts:
        assert artifact.macs == 20 * 12 * 8 * 27 + 10 * 6 * 8 * 72 + 480 * 6
        assert artifact.parameters == 8 * 27 + 8 + 8 * 72 + 8 + 480 * 6 + 6  # normalisation is folded in
        assert artifact.parity is not None
        assert artifact.parity.parent_accuracy == accuracy
        assert artifact.parity.top1_agreement >= 0.98
    assert made.bundle.artifacts[3].inputs[0].shape == (1, 20, 12, 3)
    from ai_edge_litert.interpreter import Interpreter

    for name in ("tflite-fp32", "tflite-int8"):
        operations = [entry["op_name"] for entry in Interpreter(str(made.path / f"{name}.tflite"))._get_ops_details()]
        assert "PAD" in operations
        assert "PADV2" not in operations


def test_an_onnx_file_without_data_is_checked_on_random_numbers(exported: Exported, tmp_path: Path) -> None:
    source = tmp_path / "theirs.onnx"
    source.write_bytes((exported.path / "onnx-fp32.onnx").read_bytes())
    made = export(source, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "made")
    (artifact,) = made.bundle.artifacts
    assert artifact.parity is None
    assert artifact.golden is not None
    assert artifact.golden.count == 32
    with pytest.raises(UserError, match="--calibration"):
        export(source, ExportOptions(int8=True), out=tmp_path / "int8")
    with pytest.raises(UserError, match="cannot be made from this source"):
        export(source, ExportOptions(formats=["torch-fp32"]), out=tmp_path / "torch")


def test_a_data_set_of_another_size_is_told(
    exported: Exported, coloured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: coloured)
    source = exported.path / "onnx-fp32.onnx"
    with pytest.raises(UserError, match=r"its input is 1x28x28 .* the images of coloured are 3x20x12"):
        export(source, ExportOptions(formats=["onnx-int8"], calibration="coloured"), out=tmp_path / "wrong")


def test_a_network_that_is_wrong_on_its_data_is_told(
    exported: Exported, mini: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone else's file may want its images prepared otherwise, and nothing in it says how."""
    lines: list[str] = []
    progress = Silent()
    monkeypatch.setattr(progress, "say", lines.append)
    right = exported.path / "onnx-fp32.onnx"
    export(
        right,
        ExportOptions(formats=["onnx-fp32"], calibration="fashion-mnist-mini"),
        out=tmp_path / "a",
        progress=progress,
    )
    assert len(lines) == 1
    mixed = Split(mini.test.images, (mini.test.labels + 1) % 10)
    monkeypatch.setattr(data, "load", lambda name: dataclasses.replace(mini, test=mixed))
    export(
        right,
        ExportOptions(formats=["onnx-fp32"], calibration="fashion-mnist-mini"),
        out=tmp_path / "b",
        progress=progress,
    )
    assert "itself has an accuracy of only" in lines[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "it is empty"), (b"this is no network", "not an ONNX network"), (None, "truncated")],
    ids=["empty", "foreign", "truncated"],
)
def test_a_bad_onnx_file(exported: Exported, tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "bad.onnx"
    whole = (exported.path / "onnx-fp32.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(BadFile, match=words) as raised:
        export(path, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")
    assert str(path) in raised.value.where
    assert not (tmp_path / "out").exists()


def test_a_quantised_onnx_file_is_not_quantised_again(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="already quantised"):
        export(exported.path / "onnx-int8.onnx", ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")


def test_an_onnx_file_that_crashes_its_runtime(tmp_path: Path) -> None:
    """SIGFPE in native code: a sentence, not the end of edgebench. It loads, and dies on its first run."""
    crash = Path(__file__).parents[1] / "data" / "crash-sigfpe.onnx"
    if not crash.exists():
        pytest.skip("tests/data/crash-sigfpe.onnx is not there")
    with pytest.raises(BadFile) as raised:
        export(crash, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")
    assert raised.value.where == str(crash)
    assert raised.value.seen == "onnxruntime cannot open it and run it once (the process was killed by SIGFPE)"


# ------------------------------------------------------------------ any number of images


def test_a_file_that_was_made_for_one_image_is_refused_where_any_number_is_asked_for(
    exported: Exported, folder: Path
) -> None:
    source = exported.path / "onnx-fp32.onnx"
    with pytest.raises(UserError, match="answers 3 images at once differently from one at a time") as refused:
        export(
            source,
            ExportOptions(formats=["onnx-fp16"], dataset="fashion-mnist-mini", dynamic_batch=True),
            out=folder / "never",
        )
    assert "exported for one image cannot take several" in refused.value.remedy
    assert not (folder / "never").exists()


def test_tflite_of_a_file_for_one_image_takes_any_number_all_the_same(exported: Exported, folder: Path) -> None:
    """onnx2tf reads what the source says of one image; the file that comes of it is opened like any other."""
    if not exporters.importlib.util.find_spec("onnx2tf"):
        pytest.skip("needs onnx2tf")
    source, formats = exported.path / "onnx-fp32.onnx", ["tflite-fp32"]
    made = export(
        source, ExportOptions(formats=formats, dataset="fashion-mnist-mini", dynamic_batch=True), out=folder / "any"
    )
    assert made.bundle.artifacts[0].parity is not None
    assert made.bundle.artifacts[0].parity.top1_agreement == 1.0
