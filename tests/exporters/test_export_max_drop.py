"""--max-drop that cannot be kept is said, by the exit code too; and what is INT8 by its name only."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.export import ExportOptions, export
from edgebench.networks import data
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact
from exporters.pipeline import accuracy_drop
from exporters.pipeline.summary import doubts
from tests.conftest import run_cli

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

IMAGES = "fashion-mnist-mini@300,200"
CODE = """
import torch
from torch import nn
def make():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(1568, 10))
    network.load_state_dict(torch.load("wide.pt"))
    return network
"""
LARGE = 300.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear classifier behind a tensor that a byte holds badly: one channel of it is large. It is all there is."""
    import torch
    from torch import nn

    folder = tmp_path_factory.mktemp("project")
    (folder / "wide.py").write_text(CODE)
    images = data.load(IMAGES)
    rows = images.preprocessing.apply(images.train.images).reshape(len(images.train), -1).astype(np.float64)
    wanted = np.eye(10)[images.train.labels] - 0.1
    solved = np.linalg.solve(rows.T @ rows + 300 * np.eye(784), rows.T @ wanted).T
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(1568, 10)).eval()
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
        network[0].bias[:] = torch.tensor([0.0, LARGE])
        network[2].weight[:] = torch.from_numpy(np.concatenate([solved, np.full_like(solved, 1e-6)], 1))
        network[2].bias[:] = -LARGE * 784 * 1e-6
    torch.save(network.state_dict(), folder / "wide.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, 1, 28, 28),), str(folder / "wide.onnx"), dynamo=False, opset_version=17
        )
    return folder


def command(project: Path, *more: str) -> Any:
    options = ("--dataset", IMAGES, "--preprocessing", "data-set", "--out", "out")
    return run_cli("export", "wide.onnx", *options, *more, cwd=project)


def test_a_drop_that_cannot_be_kept_ends_with_1_and_is_said(project: Path) -> None:
    ended = command(project, "--formats", "onnx-int8,onnx-dynamic-int8", "--max-drop", "0.3")
    told = " ".join(ended.stderr.split())
    assert ended.returncode == 1, told
    assert "--max-drop 0.3: out/onnx-int8.onnx: it loses" in told
    assert "points (" in told and "validation images, more than the 0.3 allowed" in told
    assert "tried: 6 ways to choose ranges, the 1 most costly of 2 operators in float" in told
    assert "--best-effort" in told
    artifact, dynamic = bundle.load(project / "out").artifacts
    assert (project / "out" / artifact.content.file).is_file(), "nothing is lost"
    assert artifact.notes[accuracy_drop.MISSED] in told
    assert dynamic.notes[accuracy_drop.ALLOWED].startswith("at most 0.3 points allowed; lost: ")
    assert artifact.notes["chosen_by"].startswith("divergence"), "a stranger's images may have trained it"
    before, after = (float(artifact.notes[f"drop_{when}"].split()[0]) for when in ("before", "after"))
    assert before >= after > 0.3

    again = command(project, "--formats", "onnx-int8", "--max-drop", "0.3", "--best-effort")
    assert again.returncode == 0, again.stderr
    said = " ".join((again.stdout + again.stderr).split())
    assert "from the cache: onnx-int8" in said
    assert artifact.notes[accuracy_drop.MISSED] in said


@pytest.mark.slow
def test_the_same_is_said_of_tflite(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    options = ExportOptions(formats=["tflite-int8"], dataset=IMAGES, preprocessing="data-set", max_drop_points=0.3)
    made = export("wide:make", options, out=project / "lite")
    (missed,) = made.missed
    assert missed.startswith(f"{project / 'lite' / 'tflite-int8.tflite'}: it loses ")
    assert "the 1 most costly of 2 operators in float" in missed


@pytest.mark.parametrize(
    ("lost", "missed"),
    [
        ((0, 0), False),
        ((10, 10), True),
        ((10, 0), True),  # on what it was chosen by
        ((0, 1), False),  # within what chance explains
        ((0, 60), True),  # and what it was not chosen by contradicts
    ],
)
def test_the_limit_is_kept_on_validation_images_unless_the_test_images_contradict(
    lost: tuple[int, int], missed: bool
) -> None:
    def drop(wrong: int, of: str) -> accuracy_drop.AccuracyDrop:
        reference = np.eye(2, dtype=np.float32)[np.zeros(500, int)]
        answers = reference.copy()
        answers[:wrong] = answers[:wrong, ::-1]
        return accuracy_drop.measured(answers, reference, np.zeros(500, np.int64), of)

    validation, test = drop(lost[0], "validation images"), drop(lost[1], "test images")
    notes = accuracy_drop.notes(1, validation, test, "all")
    assert (accuracy_drop.MISSED in notes) == missed
    assert f"lost: {validation}, {test}" in notes[accuracy_drop.ALLOWED]
    alone = accuracy_drop.notes(1, None, test, "all")
    assert (accuracy_drop.MISSED in alone) == (lost[1] == 60)


def onnx_classifier(path: Path, nodes: list[Any], classes: int, **weights: Any) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 28, 28]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes]),
    ]
    held = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def int8_of(path: Path, out: Path) -> Artifact:
    made = export(path, ExportOptions(formats=["onnx-int8"], dataset=IMAGES, preprocessing="data-set"), out=out)
    return made.bundle.artifacts[0]


def rows_of(source: str, target: str) -> Any:
    from onnx import helper

    return helper.make_node("ReduceMean", [source], [target], axes=[1, 2], keepdims=0)


def test_a_file_in_which_nothing_is_quantised_is_not_int8_without_a_word(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [helper.make_node("Softplus", ["x"], ["s"]), rows_of("s", "y")]
    artifact = int8_of(onnx_classifier(tmp_path / "soft.onnx", nodes, 28), tmp_path / "out")
    assert "none of its operators computes in integers" in artifact.notes["int8_by_name_only"]
    assert any("INT8 in name only" in line for line in doubts(artifact))


def test_a_file_that_is_larger_than_fp32_is_not_int8_without_a_word(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [
        rows_of("x", "m"),
        helper.make_node("Gemm", ["m", "w"], ["n"], name="first"),
        helper.make_node("Sigmoid", ["n"], ["s"], name="bend"),
        helper.make_node("Gemm", ["s", "v"], ["y"], name="second"),
    ]
    random = np.random.default_rng(0)
    weights = {"w": random.random((28, 4)) - 0.5, "v": random.random((4, 10)) - 0.5}
    path = onnx_classifier(tmp_path / "small.onnx", nodes, 10, **weights)
    artifact = int8_of(path, tmp_path / "out")
    size, float32 = artifact.content.size_bytes, path.stat().st_size
    assert size > float32
    words = f"it is no smaller than the fp32 file: {size:,} against {float32:,} bytes"
    assert artifact.notes["int8_by_name_only"] == words
    assert f"  INT8 in name only: {words}" in list(doubts(artifact))
