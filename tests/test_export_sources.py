"""What export starts from, and what it refuses, by the real converters."""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench import bundle, checkpoint, data, pack
from edgebench.data import Dataset, Preprocessing, Split
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.export import export
from edgebench.prune import prune
from edgebench.train import train
from exporters import _foreign_kinds, _material, _modules, _onnx_graph, _preprocessing, _publishing, _refusals
from exporters._asking import LARGEST_REPEAT_ERROR
from exporters._foreign import Foreign, ForeignRun
from exporters._opening import open_parent
from exporters._parent import Given
from exporters._process import Failed, Workers
from tests.conftest import cli_command, run_cli

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402

CODE = """
import torch
from torch import nn
from edgebench import models

def dense():
    return models.build("ultralight", (1, 28, 28), 10)

class Small(nn.Module):
    def __init__(self, change=lambda x: x):
        super().__init__()
        self.conv, self.linear, self.change = nn.Conv2d(1, 4, 3), nn.Linear(4, 10), change
    def forward(self, x):
        return self.linear(self.change(self.conv(x)).mean((2, 3)))

def dropping(): return Small(lambda x: nn.functional.dropout(x, 0.5, training=True))
def bessel(): return Small(torch.special.bessel_j0)
def dictionary():
    small = Small()
    small.linear = nn.Identity()
    small.forward = lambda x: {"logits": small.conv(x)}
    return small
def raising(): raise KeyError("no config")
def number(): return 3
def empty(): return nn.Flatten()
"""


@pytest.fixture(scope="module")
def small() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 2000), test=data.balanced(full.test, 300))


@pytest.fixture(autouse=True)
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    real = data.load
    monkeypatch.setattr(data, "load", lambda name: small if name == "fashion-mnist-mini" else real(name))
    return small


@pytest.fixture(scope="module")
def dense(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return train(
            "ultralight", "fashion-mnist-mini", epochs=3, out=tmp_path_factory.mktemp("s") / "dense.safetensors"
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's, and the current one, with code of theirs in it."""
    made = tmp_path / "project"
    (made / "my").mkdir(parents=True)
    (made / "my" / "__init__.py").touch()
    (made / "my" / "models.py").write_text(CODE)
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def forget() -> Iterator[None]:
    """For tests that import the user's code in this process."""
    yield
    for name in ("my", "my.models"):
        sys.modules.pop(name, None)


def foreign(name: str, folder: Path, shape: tuple[int, ...] = (1, 28, 28), weights: str = "") -> Foreign:
    return Foreign("module", f"my.models:{name}", str(folder), weights, shape, str(folder / "held.pt"))


# ------------------------------------------------------------------ torch.nn.Module


@pytest.mark.slow
def test_a_module_is_exported_as_the_network_that_it_is(dense: checkpoint.Checkpoint, folder: Path) -> None:
    torch.save({"epoch": 3, "state_dict": dense.build().state_dict()}, folder / "best.pt")
    path = list(sys.path)
    made = export(
        "my.models:dense",
        weights=folder / "best.pt",
        dataset="fashion-mnist-mini",
        formats=["onnx-fp32", "torch-fp32"],
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
        torch.save(dense.build().state_dict(), weights)
    else:
        weights.write_bytes(dense.path.read_bytes())
    task = foreign("dense", folder, weights=str(weights))
    facts = _modules.look(task)
    assert (facts.input_shape, facts.parameters, facts.macs) == ((1, 28, 28), 101_930, 342_464)
    image = torch.rand(2, 1, 28, 28)
    assert torch.equal(_modules.load(task)(image), dense.build()(image))


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"stem.weight": Payload()}, "holds code, which is never run"),
        ({"stem.weight": torch.zeros(16, 1, 3, 3)}, "it lacks 'stem.bias' and 8 more"),
        ({"stem.weight": torch.zeros(16, 3, 3, 3)}, "size mismatch for stem.weight"),
        ({"other": torch.zeros(1)}, "it lacks 'stem.weight'"),
        ([1, 2], "something else than named tensors"),
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
        _modules.look(foreign("dense", folder, weights=str(weights)))
    assert raised.value.where == str(weights)
    assert not Path("ran").exists()


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("nothing", (1, 28, 28), "cannot be imported .*no attribute 'nothing'"),
        ("raising", (1, 28, 28), r"calling it failed \(KeyError: 'no config', models.py line 23\)"),
        ("number", (1, 28, 28), "gives a int"),
        ("empty", (1, 28, 28), "no parameters"),
        ("Small", (3, 28, 28), "does not take 3x28x28"),
        ("dictionary", (1, 28, 28), "for two images it answers dict"),
    ],
)
def test_code_that_export_cannot_start_from(folder: Path, name: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        _modules.look(foreign(name, folder, shape))
    assert str(folder) not in sys.path


def test_what_is_said_before_any_code_runs(folder: Path, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    with pytest.raises(UserError, match="--input 3x32x32"):
        open_parent(Given("my.models:dense"), tmp_path, workers)
    with pytest.raises(BadFile, match="no such file"):
        open_parent(Given("my.models:dense", weights=Path("w.pt"), input_shape=(1, 28, 28)), tmp_path, workers)
    Path("net.pt").write_bytes(b"x")
    with pytest.raises(BadFile, match="package.module:callable --weights net.pt"):
        open_parent(Given("net.pt"), tmp_path, workers)
    assert list(tmp_path.glob("*.log")) == [], "no worker was started"


@pytest.mark.usefixtures("forget")
def test_dropout_that_evaluation_mode_does_not_turn_off(folder: Path) -> None:
    images = folder / "images.npy"
    np.save(images, np.random.default_rng(0).random((20, 1, 28, 28), np.float32))
    for name, differs in (("dropping", True), ("Small", False)):
        task = foreign(name, folder)
        _modules.look(task)
        repeat_error = _foreign_kinds.run(ForeignRun(task, str(images), None, str(folder / "answers.npy")))
        assert (repeat_error > LARGEST_REPEAT_ERROR) == differs
        assert np.load(folder / "answers.npy").shape == (20, 10)


# ------------------------------------------------------------------ operators


@pytest.mark.slow
def test_an_operator_that_a_format_does_not_have(folder: Path) -> None:
    with pytest.raises(UserError) as raised:
        export("my.models:bessel", input_shape=(1, 28, 28), formats=["onnx-fp32", "torch-fp32"], out=folder / "out")
    assert "no way to write the operator 'special_bessel_j0'" in raised.value.seen
    assert "--formats torch-fp32" in raised.value.remedy
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("RuntimeError: Lowering not found: aten._unique2.default", "the operator '_unique2'"),
        ("ModuleNotFoundError: No module named 'onnx2tf.ops.BitShift'", "the operator 'BitShift'"),
        ("GuardOnDataDependentSymNode: Could not guard on data-dependent expression", "depends on the numbers"),
        ("RuntimeError: something else", "RuntimeError: something else"),
    ],
)
def test_how_converters_say_what_they_cannot_do(tmp_path: Path, seen: str, words: str) -> None:
    choices = exporters.choose(["tflite-fp32", "onnx-fp32", "tflite-int8"], "checkpoint")
    error = _refusals.explained(Failed(seen, tmp_path / "tflite.log"), "net", choices, tmp_path / "out")
    assert error.seen.startswith("tflite: ")
    assert words in error.seen
    assert error.remedy == "Leave out what tflite makes: --formats onnx-fp32"


# ------------------------------------------------------------------ .onnx files


@pytest.fixture
def onnx_file(dense: checkpoint.Checkpoint, tmp_path: Path) -> Path:
    from exporters.onnx import from_checkpoint

    path = tmp_path / "theirs.onnx"
    with pytest.warns(DeprecationWarning):
        from_checkpoint(dense.path, path)
    return path


def opened(path: Path, sizes: dict[int, str], given: tuple[int, ...] = ()) -> Any:
    """What is known of the file with these axes of its input left open."""
    import onnx

    from exporters.onnx import open_artifact

    model = onnx.load(path)
    for axis, name in sizes.items():
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, path)
    return _onnx_graph.inspect(path, open_artifact, given, path.with_name("sized.onnx"))


def test_open_sizes_have_to_be_given(onnx_file: Path) -> None:
    with pytest.raises(UserError, match=r"\[1, 1, height, width\].*any size.*--input"):
        opened(onnx_file, {2: "height", 3: "width"})
    facts = opened(onnx_file, {}, (1, 28, 28))
    assert (facts.input_shape, facts.macs) == ((1, 28, 28), 342_464)
    import onnx

    dims = onnx.load(onnx_file.with_name("sized.onnx")).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == [1, 1, 28, 28]


def test_a_size_that_is_not_the_files(onnx_file: Path) -> None:
    assert opened(onnx_file, {}, (1, 28, 28)).input_shape == (1, 28, 28)
    assert not onnx_file.with_name("sized.onnx").exists(), "it says its size itself"
    with pytest.raises(UserError, match="which is not 3x28x28"):
        opened(onnx_file, {}, (3, 28, 28))


def test_a_file_of_any_size_is_exported_at_one(onnx_file: Path, dense: checkpoint.Checkpoint) -> None:
    with pytest.raises(UserError):
        opened(onnx_file, {2: "h", 3: "w"})
    made = export(
        onnx_file,
        input_shape=(1, 28, 28),
        calibration="fashion-mnist-mini",
        formats=["onnx-fp32"],
        out=onnx_file.with_name("out"),
    )
    (artifact,) = made.bundle.artifacts
    assert artifact.inputs[0].shape == (1, 1, 28, 28)
    assert artifact.parity is not None
    assert artifact.parity.parent_accuracy == dense.about.metrics.accuracy


# ------------------------------------------------------------------ preprocessing


def test_a_wrong_preprocessing_is_found_and_the_right_one_named(dense: checkpoint.Checkpoint, tmp_path: Path) -> None:
    """0..255 against 0..1: the mistake that costs accuracy and says nothing."""

    class Unscaled(torch.nn.Module):
        """Takes bytes and does itself what the data set prescribes."""

        def __init__(self) -> None:
            super().__init__()
            self.network = dense.build()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.network((image / 255 - 0.286) / 0.353)
            return answer

    source = tmp_path / "unscaled.onnx"
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(Unscaled(), (torch.zeros(1, 1, 28, 28),), str(source), dynamo=False, opset_version=17)
    asked: dict[str, Any] = {"dataset": "fashion-mnist-mini", "formats": ["onnx-fp32"], "out": tmp_path / "out"}
    with pytest.raises(UserError, match=r"prepared as '0\.\.255' in \d\d% \(chance is 10%\)") as raised:
        export(source, **asked)
    assert "--preprocessing 0..255" in raised.value.remedy
    (artifact,) = export(source, **asked, preprocessing="0..255").bundle.artifacts
    assert artifact.parity is not None
    assert artifact.parity.parent_accuracy == pytest.approx(dense.about.metrics.accuracy, abs=0.01)


def test_preprocessings_are_what_their_names_say() -> None:
    ends = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    prescribed = Preprocessing((0.286,), (0.353,))
    for name, wanted in (("0..255", (0, 255)), ("0..1", (0, 1)), ("-1..1", (-1, 1))):
        assert _preprocessing.named(name, prescribed).apply(ends).reshape(-1).tolist() == pytest.approx(wanted)
    assert _preprocessing.named("data-set", prescribed) is prescribed
    with pytest.raises(UnknownName, match=r"Did you mean '0\.\.255'"):
        _preprocessing.named("0-255", prescribed)
    with pytest.raises(UserError, match="for 3 channels"):
        _preprocessing.named("imagenet", prescribed)


def test_a_network_that_is_right_often_enough_is_not_asked_again() -> None:
    labels = np.arange(10).repeat(10)
    answers = np.eye(10, dtype=np.float32)[labels]
    asked: list[Preprocessing] = []

    def ask(other: Preprocessing) -> np.ndarray:
        asked.append(other)
        return answers

    prescribed = Preprocessing((0.5,), (0.5,))
    _preprocessing.refuse_wrong("net", "data", prescribed, answers, labels, ask)
    assert asked == []
    with pytest.raises(UserError):
        _preprocessing.refuse_wrong("net", "data", prescribed, answers[::-1], labels, ask)
    assert len(asked) == 3


def test_bytes_that_were_scaled_already(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ones = dataclasses.replace(small, name="ones", train=Split(small.train.images // 255, small.train.labels))
    monkeypatch.setattr(data, "load", {"ones": ones, "fashion-mnist-mini": small}.__getitem__)
    parent = open_parent(Given(str(dense.path), calibration="ones"), tmp_path, Workers(tmp_path))
    with pytest.raises(UserError, match="divided by 255"):
        _material.load(parent)


# ------------------------------------------------------------------ zeros


@pytest.mark.slow
def test_zeros_are_counted_and_what_leaving_them_out_would_save(dense: checkpoint.Checkpoint, tmp_path: Path) -> None:
    pruned = prune(
        dense.path, method="l1-global", ratio=0.5, finetune=0, out=tmp_path / "pruned.safetensors"
    ).checkpoint
    made = export(pruned.path, formats=["torch-fp32"], out=tmp_path / "out")
    zeros = sum(int((one == 0).sum()) for one in pruned.build().parameters())
    assert zeros > 50_000
    packed = pack.sizes(pruned.path, ["bitmask"])[1].file_bytes
    note = made.bundle.artifacts[0].notes["zeros"]
    assert note.startswith(f"{zeros:,} of 101,930 parameters are zero")
    assert f"{packed:,} bytes" in note
    assert open_parent(Given(str(dense.path)), tmp_path, Workers(tmp_path)).zeros_note == ""


# ------------------------------------------------------------------ Keras


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net.keras", "net.h5", "saved"])
def test_a_keras_network_becomes_tflite(keras_files: Path, tmp_path: Path, name: str) -> None:
    made = export(keras_files / name, formats=["tflite-fp32"], out=tmp_path / "out")
    (artifact,) = made.bundle.artifacts
    assert (artifact.inputs[0].shape, artifact.inputs[0].layout) == ((1, 20, 12, 3), "NHWC")
    assert (artifact.macs, artifact.parameters) == (18 * 10 * 8 * 27 + 8 * 6, 8 * 27 + 8 + 8 * 6 + 6)
    assert made.bundle.source["kind"] == "keras"
    assert artifact.golden is not None
    with pytest.raises(UserError, match="cannot be made from this source.*Choose from: tflite-fp32"):
        exporters.choose(["onnx-fp32"], "keras")


@pytest.mark.slow
def test_a_keras_file_with_code_in_it(keras_files: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without running code"):
        export(keras_files / "code.keras", formats=["tflite-fp32"], out=tmp_path / "out")


# ------------------------------------------------------------------ nothing half


STAGES: dict[str, str] = {
    "opening": "exporters._opening.open_parent",
    "loading the images": "exporters._material.load",
    "asking the parent": "exporters._asking.evidence",
    "starting a worker": "exporters._process.Worker.__init__",
    "writing golden files": "exporters._golden.write",
    "writing bundle.json": "edgebench.bundle.save",
    "putting it in place": "pathlib.Path.rename",
    "deleting the old one": "shutil.rmtree",
}


def classifier(path: Path, nodes: list[tuple[str, list[str], list[str]]]) -> Path:
    """An .onnx file of four classes: x -> y, with the weights w."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    weights = [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "g", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return classifier(tmp_path / "tiny.onnx", [("Gemm", ["x", "w"], ["y"])])


def test_a_network_that_draws_numbers_is_refused(tmp_path: Path) -> None:
    nodes = [("RandomNormalLike", ["x"], ["n"]), ("Add", ["x", "n"], ["z"]), ("Gemm", ["z", "w"], ["y"])]
    path = classifier(tmp_path / "drawing.onnx", nodes)
    with pytest.raises(UserError, match="asked twice .* answers differently, by .*%") as raised:
        export(path, formats=["onnx-fp32"], out=tmp_path / "out")
    assert raised.value.where == str(path)
    assert not (tmp_path / "out").exists()


def test_a_network_whose_answers_are_not_numbers_is_refused(tmp_path: Path) -> None:
    path = classifier(tmp_path / "log.onnx", [("Log", ["x"], ["z"]), ("Gemm", ["z", "w"], ["y"])])
    with pytest.raises(UserError, match=r"its answers to .* of .* images are not numbers") as raised:
        export(path, formats=["onnx-fp32"], out=tmp_path / "out")
    assert raised.value.where == str(path)


def test_weights_in_other_files_are_part_of_the_network(tiny: Path) -> None:
    import onnx

    from exporters.onnx import open_artifact

    digests = set()
    for number in (1, 2):
        model = onnx.load(tiny)
        model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32) * number, "w"))
        path = tiny.with_name("external.onnx")
        path.with_name("weights.bin").unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        digests.add(_onnx_graph.inspect(path, open_artifact, (), tiny.with_name("sized.onnx")).sha256)
    assert len(digests) == 2


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_leaves_the_old_bundle_or_the_new_one(
    tiny: Path, tmp_path: Path, relu_bundle: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    out = tmp_path / "out" / "bundle"
    out.parent.mkdir()
    relu_bundle.rename(out)
    before = bundle.load(out)

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(STAGES[stage], interrupt)
        with pytest.raises(KeyboardInterrupt):
            export(tiny, formats=["onnx-fp32"], out=out)
    after = bundle.load(out)
    assert (after == before) == (stage != "deleting the old one")
    others = [path for path in out.parent.iterdir() if path != out]
    assert not any((path / "bundle.json").exists() for path in others)
    if stage != "deleting the old one":
        assert others == []


@pytest.mark.parametrize(
    ("limit_bytes", "native"), [(300_000, False), pytest.param(425_000, True, marks=pytest.mark.slow)]
)
def test_no_room_for_a_file_is_said(dense: checkpoint.Checkpoint, folder: Path, limit_bytes: int, native: bool) -> None:
    """A limit on the size of files stands for a full disk: native libraries say of it "unexpected pos 412544"."""
    source = ["my.models:dense", "--input", "1x28x28"] if native else [dense.path]
    command = cli_command("export", *source, "--formats", "torch-fp32", "--out", folder / "out" / "x", "--no-cache")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert "there is no room for the files of this export" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not [path for path in (folder / "out").iterdir() if path.suffix != ".log"]


def test_a_failure_that_is_not_about_room_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unexpected pos"), _publishing.room(tmp_path, tmp_path / "nothing"):
        raise RuntimeError("unexpected pos")
    assert list(tmp_path.iterdir()) == []
