"""Export from a torch.nn.Module: a callable of the user's and its weights, by the real converters."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.errors import BadFile, UserError
from edgebench.export import ExportOptions, export
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import bundle, checkpoint
from edgebench.schema.bundle import TensorSpec
from exporters import IsolatedModel
from exporters.arithmetic import feeds
from exporters.pipeline.opening import open_source
from exporters.pipeline.reference_data import LARGEST_REPEAT_ERROR
from exporters.sources import isolated, modules
from exporters.sources.isolated import IsolatedRun
from exporters.sources.source_model import SourceRequest, image_shape
from exporters.workers.process import WorkerPool
from tests.conftest import run_cli
from tests.support.export_sources import dense as dense
from tests.support.export_sources import folder as folder
from tests.support.export_sources import quick as quick
from tests.support.export_sources import small as small

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402


@pytest.fixture
def forget() -> Iterator[None]:
    """For tests that import the user's code in this process."""
    yield
    for name in ("my", "my.models"):
        sys.modules.pop(name, None)


def isolated_model(name: str, folder: Path, shape: tuple[int, ...] = (1, 28, 28), weights: str = "") -> IsolatedModel:
    inputs = (TensorSpec("", (1, *shape), "float32", "NCHW"),)
    return IsolatedModel("module", f"my.models:{name}", str(folder), weights, inputs, str(folder / "held.pt"))


@pytest.mark.slow
def test_a_module_is_exported_as_the_network_that_it_is(dense: checkpoint.Checkpoint, folder: Path) -> None:
    torch.save({"epoch": 3, "state_dict": rebuild(dense).state_dict()}, folder / "best.pt")
    path = list(sys.path)
    made = export(
        "my.models:dense",
        ExportOptions(weights=folder / "best.pt", dataset="fashion-mnist-mini", formats=["onnx-fp32", "torch-fp32"]),
        out=folder / "out",
    )
    assert "my.models" not in sys.modules and sys.path == path, "the user's code runs in workers only"
    source = made.bundle.source
    assert (source["kind"], source["callable"], source["weights"]) == ("module", "my.models:dense", "best.pt")
    for artifact in made.bundle.artifacts:
        assert artifact.name.startswith("models-dense-")
        assert (artifact.macs, artifact.parameters) == (342_464, 101_930)
        assert artifact.parity is not None
        assert artifact.parity.parent_accuracy == dense.about.metrics.accuracy
        assert artifact.parity.top1_agreement == 1
    assert bundle.load(made.path) == made.bundle


@pytest.mark.slow
def test_a_callable_that_draws_its_weights_anew_is_one_network(folder: Path) -> None:
    """By the command line, without a data set: every process has to get the same weights."""
    done = run_cli("export", "my.models:Small", "--input", "1x28x28", "--formats", "onnx-fp32", cwd=folder)
    assert done.returncode == 0, done.stderr
    (artifact,) = bundle.load(folder / "bundles" / "models-Small").artifacts
    assert artifact.golden is not None and artifact.golden.count == 32


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_read_from(dense: checkpoint.Checkpoint, folder: Path, suffix: str) -> None:
    weights = folder / f"w{suffix}"
    if suffix == ".pt":
        torch.save(rebuild(dense).state_dict(), weights)
    else:
        weights.write_bytes(dense.path.read_bytes())
    task = isolated_model("dense", folder, weights=str(weights))
    facts = modules.look(task)
    assert (image_shape(facts.inputs), facts.parameters, facts.macs) == ((1, 28, 28), 101_930, 342_464)
    image = torch.rand(2, 1, 28, 28)
    assert torch.equal(modules.load(task)(image), rebuild(dense)(image))


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"stem.weight": Payload()}, "contains code, which is never run"),
        ({"stem.weight": torch.zeros(16, 1, 3, 3)}, "it has no 'stem.bias', .* and 6 more"),
        ({"stem.weight": torch.zeros(16, 3, 3, 3)}, r"'stem.weight' is \[16, 3, 3, 3\], not \[16, 1, 3, 3\]"),
        ({"other": torch.zeros(1)}, "it has no 'stem.weight'"),
        ([1, 2], "contains no named tensors"),
        (None, "damaged"),
    ],
    ids=["code", "missing", "shape", "other", "list", "damaged"],
)
def test_weights_that_are_refused(folder: Path, held: Any, words: str) -> None:
    weights = folder / "w.pt"
    if held is None:
        weights.write_bytes(b"PK\x03\x04 and then nothing")
    else:
        torch.save(held, weights)
    with pytest.raises(BadFile, match=words) as raised:
        modules.look(isolated_model("dense", folder, weights=str(weights)))
    assert raised.value.where == str(weights)
    assert not Path("ran").exists()


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("nothing", (1, 28, 28), "cannot be imported .*no attribute 'nothing'"),
        ("raising", (1, 28, 28), r"calling it failed \(KeyError: 'no config', models.py line 35\)"),
        ("number", (1, 28, 28), "gives a int"),
        ("empty", (1, 28, 28), "no parameters"),
        ("Small", (3, 28, 28), "does not take 1x3x28x28"),
        ("words", (1, 28, 28), "its output is a str"),
    ],
)
def test_code_that_export_cannot_start_from(folder: Path, name: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        modules.look(isolated_model(name, folder, shape))
    assert str(folder) not in sys.path


def test_what_is_said_before_any_code_runs(folder: Path, tmp_path: Path) -> None:
    workers = WorkerPool(tmp_path)
    with pytest.raises(UserError, match="--input 3x32x32"):
        open_source(SourceRequest("my.models:dense"), tmp_path, workers)
    with pytest.raises(BadFile, match="no such file"):
        open_source(SourceRequest("my.models:dense", weights=Path("w.pt"), input_shape=(1, 28, 28)), tmp_path, workers)
    Path("net.pt").write_bytes(b"x")
    with pytest.raises(BadFile, match="package.module:callable --weights net.pt"):
        open_source(SourceRequest("net.pt"), tmp_path, workers)
    assert list(tmp_path.glob("*.log")) == [], "no worker was started"


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_statistics", "BatchNorm2d 'change' keeps no running statistics"),
        ("stays_training", "Always 'change' stays in training mode"),
    ],
)
def test_layers_without_evaluation_mode_are_named(folder: Path, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        modules.look(isolated_model(name, folder))


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize("suffix", ["", ".pt"])
def test_a_buffer_that_is_one_row_seen_many_times(folder: Path, suffix: str) -> None:
    """Weights cannot be copied into memory that several numbers share."""
    network: Any = modules._made(isolated_model("expanded", folder))
    weights = ""
    if suffix:
        weights = str(folder / f"w{suffix}")
        torch.save({name: tensor + 1 for name, tensor in network.state_dict().items()}, weights)
    task = isolated_model("expanded", folder, weights=weights)
    modules.look(task)
    loaded = modules.load(task)
    assert torch.equal(loaded.change.rows, network.change.rows + bool(suffix))
    assert torch.equal(loaded.change.weight, network.change.weight + bool(suffix))


@pytest.mark.usefixtures("forget")
def test_dropout_that_evaluation_mode_does_not_turn_off(folder: Path) -> None:
    images = folder / "images.npy"
    np.save(images, np.random.default_rng(0).random((20, 1, 28, 28), np.float32))
    for name, differs in (("dropping", True), ("Small", False)):
        task = isolated_model(name, folder)
        modules.look(task)
        repeat_error = isolated.run(IsolatedRun(task, str(images), None, str(folder / "answers.npz")))
        assert (repeat_error > LARGEST_REPEAT_ERROR) == differs
        (found,) = feeds.read(folder / "answers.npz")
        assert found.shape == (20, 10)


def test_arguments_reach_the_callable_and_are_noted(folder: Path) -> None:
    (folder / "sized.py").write_text(
        "from torch import nn\n\ndef make(classes=10): return nn.Sequential(nn.Flatten(), nn.Linear(4, classes))\n"
    )
    done = run_cli(
        "export", "sized:make", "--argument", "classes=3", "--input", "1x2x2", "--formats", "onnx-fp32", "--json", "-",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (artifact,) = found["bundle"]["artifacts"]
    assert artifact["outputs"][0]["shape"] == [1, 3] and found["bundle"]["source"]["arguments"] == '{"classes":3}'
    assert (folder / found["path"] / artifact["content"]["file"]).is_file()


def test_arguments_of_what_is_no_callable_are_refused(folder: Path, tmp_path: Path) -> None:
    request = SourceRequest("net.onnx", arguments={"classes": 3})
    with pytest.raises(UserError, match="is no callable, which takes arguments"):
        open_source(request, tmp_path, WorkerPool(tmp_path))
