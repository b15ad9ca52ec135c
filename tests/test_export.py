"""Export, by the real converters. One small network is trained once; every test looks at its bundles."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

import exporters
from edgebench import bundle, checkpoint, data, deploy, plan, record, stats, training
from edgebench.bundle import Artifact
from edgebench.data import Dataset, Split
from edgebench.errors import BadFile, MissingPackage, UnknownName, UserError
from edgebench.export import Exported, export
from edgebench.progress import Silent
from edgebench.targets import Target
from edgebench.train import train
from exporters import _answering
from exporters import _parity as parity
from exporters import _process as process
from exporters._answering import Run

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

ALL = [
    "onnx-fp32", "onnx-fp16", "onnx-int8", "tflite-fp32", "tflite-fp16", "tflite-int8", "torch-fp32", "torch-fp16",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def mini() -> Dataset:
    return data.load("fashion-mnist-mini")


@pytest.fixture(scope="module")
def dense(folder: Path) -> checkpoint.Checkpoint:
    return train("ultralight", "fashion-mnist-mini", epochs=3, out=folder / "dense.safetensors")


@pytest.fixture(scope="module")
def exported(dense: checkpoint.Checkpoint, folder: Path) -> Exported:
    return export(dense.path, out=folder / "bundles" / "dense")


def by_name(made: Exported) -> dict[str, Artifact]:
    return {artifact.name.removeprefix("dense-"): artifact for artifact in made.bundle.artifacts}


def read(made: Exported, ref: bundle.FileRef, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer((made.path / ref.file).read_bytes(), np.dtype(dtype).newbyteorder("<")).reshape(shape)


def test_a_checkpoint_becomes_everything(exported: Exported, dense: checkpoint.Checkpoint) -> None:
    loaded = bundle.load(exported.path)  # checks every file against its digest
    assert loaded == exported.bundle
    assert [artifact.name for artifact in loaded.artifacts] == [f"dense-{name}" for name in ALL]
    assert loaded.source["digest"] == dense.digest
    files = {path.relative_to(exported.path).as_posix() for path in exported.path.rglob("*") if path.is_file()}
    named = {ref.file for artifact in loaded.artifacts for ref in bundle.files_of(artifact)}
    assert files == named | {"bundle.json"}, "nothing else may lie in a bundle"
    assert [path.name for path in exported.path.parent.iterdir()] == ["dense"]
    for artifact in loaded.artifacts:
        assert (artifact.macs, artifact.parameters) == (342_464, 101_930)
        assert artifact.content.file.startswith(f"{artifact.format}-{artifact.precision}.")


@pytest.mark.parametrize("name", ALL)
def test_each_artifact_is_the_network_it_came_from(
    exported: Exported, dense: checkpoint.Checkpoint, mini: Dataset, name: str
) -> None:
    found = by_name(exported)[name].parity
    assert found is not None
    assert found.images == len(mini.test) == 2000
    assert found.parent_accuracy == dense.about.metrics.accuracy
    if name.endswith("int8"):
        assert abs(found.accuracy - found.parent_accuracy) <= 0.01
        assert found.top1_agreement >= 0.97
    else:
        assert found.top1_agreement >= 0.999
        assert found.sqnr_db >= (100 if name.endswith("fp32") else 45)


def test_sizes_are_what_the_precision_says(exported: Exported) -> None:
    size = {name: artifact.content.size_bytes for name, artifact in by_name(exported).items()}
    assert size["onnx-int8"] < 0.3 * size["onnx-fp32"]
    assert size["onnx-fp16"] < 0.55 * size["onnx-fp32"]
    assert size["tflite-int8"] < 0.3 * size["tflite-fp32"]
    assert size["tflite-fp16"] < 0.55 * size["tflite-fp32"]
    assert size["torch-fp16"] < 0.6 * size["torch-fp32"]


def test_golden_files_feed_the_artifact_as_they_are(exported: Exported) -> None:
    """What a device does: raw bytes in, raw bytes out, compared with `expected`. No edgebench code in between."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    def onnx_answers(path: Path, inputs: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return np.concatenate([session.run(None, {"input": one[None]})[0] for one in inputs])

    def tflite_answers(path: Path, inputs: np.ndarray) -> np.ndarray:
        interpreter = Interpreter(str(path))
        interpreter.allocate_tensors()
        answers = []
        for one in inputs:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], one[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        return np.concatenate(answers)

    run: dict[str, Callable[[Path, np.ndarray], np.ndarray]] = {"onnx": onnx_answers, "tflite": tflite_answers}
    for artifact in exported.bundle.artifacts:
        if artifact.format not in run:
            continue
        assert artifact.golden is not None
        (source,), (sink,), count = artifact.inputs, artifact.outputs, artifact.golden.count
        assert count == 32
        inputs = read(exported, artifact.golden.inputs, source.dtype, (count, *source.shape[1:]))
        expected = read(exported, artifact.golden.expected, "float32", (count, 10))
        raw = run[artifact.format](exported.path / artifact.content.file, inputs)
        assert raw.dtype.name == sink.dtype
        answers = raw.astype(np.float32)
        if sink.scale is not None:
            answers = (answers - sink.zero_point) * np.float32(sink.scale)
        assert parity.relative_error(answers, expected) <= 1e-5
        reference = read(exported, artifact.golden.reference, "float32", (count, 10))
        assert parity.agreement(expected, reference) >= 0.9


def test_golden_inputs_are_test_images_of_all_classes(exported: Exported, mini: Dataset) -> None:
    artifact = by_name(exported)["onnx-fp32"]
    assert artifact.golden is not None
    inputs = read(exported, artifact.golden.inputs, "float32", (32, 1, 28, 28))
    images = mini.preprocessing.apply(mini.test.images)
    labels = []
    for one in inputs:
        (where,) = np.flatnonzero((images == one).all((1, 2, 3)))
        labels.append(mini.test.labels[where])
    assert set(Counter(labels).values()) == {3, 4}


def test_int8_takes_and_gives_bytes_on_tflite(exported: Exported) -> None:
    artifact = by_name(exported)["tflite-int8"]
    (source,), (sink,) = artifact.inputs, artifact.outputs
    assert (source.dtype, sink.dtype, source.shape, source.layout) == ("int8", "int8", (1, 28, 28, 1), "NHWC")
    assert source.scale is not None
    # Black and white of the calibration images are the ends of the range, in preprocessed units.
    ends = [(value - (source.zero_point or 0)) * source.scale for value in (-128, 127)]
    assert ends == pytest.approx([(0 - 0.286) / 0.353, (1 - 0.286) / 0.353], abs=0.05)


def test_all_int8_candidates_were_compared_on_other_images(exported: Exported, mini: Dataset) -> None:
    seen = hashlib.sha256(mini.calibration().images.tobytes()).hexdigest()
    for name in ("onnx-int8", "tflite-int8"):
        notes = by_name(exported)[name].notes
        scores = {
            key.removeprefix("candidate_"): float(text.split()[1].rstrip("%,"))
            for key, text in notes.items()
            if key.startswith("candidate_")
        }
        assert list(scores) == ["minmax", "average", "most-images", "percentile", "entropy", "mse"]
        assert scores[notes["ranges"]] == max(scores.values())
        assert notes[f"candidate_{notes['ranges']}"].endswith("chosen")
        assert notes["chosen_on"] == "500 images of the validation split"
        assert notes["calibration"].startswith("256 images of the training split of fashion-mnist-mini")
        assert notes["calibration"].endswith(seen)
        assert "float_layers" not in notes


def test_every_convolution_of_onnx_int8_runs_as_integers(exported: Exported, tmp_path: Path) -> None:
    """Quantise nodes around a float convolution are slower than no quantisation at all."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(exported.path / "onnx-int8.onnx", options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == 3
    assert kinds["Conv"] + kinds["FusedConv"] + kinds["Gemm"] + kinds["FusedGemm"] + kinds["MatMul"] == 0


def test_onnx_int8_has_unsigned_activations_and_signed_weights_per_channel(exported: Exported) -> None:
    """Signed activations leave residual networks half unfused on x86; one scale for all channels costs a point."""
    import onnx

    graph = onnx.load(exported.path / "onnx-int8.onnx").graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            assert tensors[node.input[2]].data_type == onnx.TensorProto.UINT8
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors and len(tensors[node.input[0]].dims) == 4:
            assert tensors[node.input[0]].data_type == onnx.TensorProto.INT8
            assert tensors[node.input[1]].dims[0] == tensors[node.input[0]].dims[0] > 1


def test_a_device_scores_what_the_exporter_did(exported: Exported, folder: Path) -> None:
    """Through the agent, with its own reading of the inputs: the same file is right on the same images."""
    formats = ("onnx-fp32", "onnx-int8", "tflite-int8")
    wanted = [one for one in deploy.sources([exported.path]) if one.artifact.name.removeprefix("dense-") in formats]
    here = Target(name="here", transport="local", runtimes=("onnxruntime", "litert"))
    how = msgspec.structs.replace(plan.with_accuracy(plan.named("quick")), seconds_min=0.0, seconds_max=0.2)
    for path in deploy.deploy(here, wanted, how, folder / "results"):
        one = record.load(path)
        assert one.answers is not None and one.artifact.parity is not None, one.outcome
        assert one.answers.images == one.artifact.parity.images
        assert stats.accuracy(one.answers).value == pytest.approx(one.artifact.parity.accuracy, abs=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_in_batches_a_file_answers_as_it_does_alone(
    exported: Exported, mini: Dataset, tmp_path: Path, name: str
) -> None:
    artifact, count = by_name(exported)[name], 600
    exporter = exporters.load(artifact.format)
    opened = exporter.open_artifact(exported.path / artifact.content.file)
    asked = []

    def run(image: np.ndarray) -> np.ndarray:
        asked.append(image)
        return opened.run(image)

    np.save(tmp_path / "images.npy", mini.test.images[:count])
    task = Run(
        str(exported.path / artifact.content.file),
        str(tmp_path / "images.npy"),
        mini.preprocessing,
        str(tmp_path / "a"),
    )
    spied = dataclasses.replace(opened, run=run)
    in_batches = _answering.answers(exporter, spied, opened.inputs[0], task)
    assert len(asked) == (count if artifact.format == "torch" else _answering.BATCH)
    one_by_one = msgspec.structs.replace(task, one_by_one=True)
    assert np.array_equal(in_batches, _answering.answers(exporter, opened, opened.inputs[0], one_by_one))


def test_onnx_files_load_on_old_runtimes(exported: Exported) -> None:
    import onnx

    for name in ("onnx-fp32.onnx", "onnx-fp16.onnx", "onnx-int8.onnx"):
        model = onnx.load(exported.path / name)
        onnx.checker.check_model(model, full_check=True)  # onnxruntime forgives nodes in the wrong order, others do not
        assert model.ir_version <= 8
        assert {entry.domain: entry.version for entry in model.opset_import} == {"": 17}


def test_files_take_one_image_or_on_request_any_number(
    exported: Exported, dense: checkpoint.Checkpoint, mini: Dataset, folder: Path
) -> None:
    import onnxruntime

    from exporters import tflite

    formats = ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]
    dynamic = export(dense.path, formats=formats, dynamic_batch=True, out=folder / "dynamic")
    images = mini.preprocessing.apply(mini.test.images[:5])
    for name in formats[:2]:
        sessions = [onnxruntime.InferenceSession(made.path / f"{name}.onnx") for made in (exported, dynamic)]
        assert [session.get_inputs()[0].shape for session in sessions] == [[1, 1, 28, 28], ["batch", 1, 28, 28]]
        one_by_one = [sessions[0].run(None, {"input": image[None]})[0] for image in images]
        together = sessions[1].run(None, {"input": images})[0]
        assert parity.relative_error(together, np.concatenate(one_by_one)) < 1e-5
    for name in formats[2:]:
        opened = [tflite.open_artifact(made.path / f"{name}.tflite") for made in (exported, dynamic)]
        stored = parity.to_stored(images, opened[0].inputs[0])
        one_by_one = [opened[0].run(image[None]).copy() for image in stored]
        assert opened[1].run_many is not None
        together = opened[1].run_many(stored)
        assert together.shape == (5, 10)
        assert parity.relative_error(together.astype(np.float32), np.concatenate(one_by_one)) < 1e-5
        assert np.array_equal(opened[1].run(stored[:1]), one_by_one[0])  # a device that knows nothing of it takes one
    with pytest.raises(UserError, match="torch-fp32 takes one image at a time"):
        export(dense.path, formats=["torch-fp32"], dynamic_batch=True, out=folder / "never")
    assert not (folder / "never").exists()


def test_a_file_that_was_made_for_one_image_is_refused_where_any_number_is_asked_for(
    exported: Exported, folder: Path
) -> None:
    source = exported.path / "onnx-fp32.onnx"
    with pytest.raises(UserError, match="does not answer to 3 images at once as to one after the other") as refused:
        export(source, formats=["onnx-fp16"], dataset="fashion-mnist-mini", dynamic_batch=True, out=folder / "never")
    assert "exported for one image stays so" in refused.value.remedy
    assert not (folder / "never").exists()


def test_tflite_of_a_file_for_one_image_takes_any_number_all_the_same(exported: Exported, folder: Path) -> None:
    """onnx2tf reads what the source says of one image; the file that comes of it is opened like any other."""
    if not exporters.importlib.util.find_spec("onnx2tf"):
        pytest.skip("needs onnx2tf")
    source, formats = exported.path / "onnx-fp32.onnx", ["tflite-fp32"]
    made = export(source, formats=formats, dataset="fashion-mnist-mini", dynamic_batch=True, out=folder / "any")
    assert made.bundle.artifacts[0].parity is not None
    assert made.bundle.artifacts[0].parity.top1_agreement == 1.0


def test_files_are_the_same_bytes_each_time(
    exported: Exported, dense: checkpoint.Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so `deploy` sends nothing twice. Neither the source's file name matters nor how many files answer at once."""
    monkeypatch.setattr(process.os, "cpu_count", lambda: 8)
    formats = ["onnx-fp32", "onnx-int8"]
    again = export(dense.path, formats=formats, out=folder / "again")
    for name in formats:
        assert by_name(again)[name].content == by_name(exported)[name].content
        assert by_name(again)[name].parity == by_name(exported)[name].parity


def test_a_poisoned_test_split_changes_no_file(
    exported: Exported, dense: checkpoint.Checkpoint, mini: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration and choice must not look at the test split: with other test images, the same bytes come out."""
    poisoned = dataclasses.replace(mini, test=Split(255 - mini.test.images, mini.test.labels))
    monkeypatch.setattr(data, "load", lambda name: poisoned)
    made = export(dense.path, formats=["onnx-int8"], out=folder / "poisoned")
    before, after = by_name(exported)["onnx-int8"], by_name(made)["onnx-int8"]
    assert after.content == before.content
    assert after.parity is not None
    assert before.parity is not None
    assert after.parity.accuracy < before.parity.accuracy - 0.2, "the poison must have been there"


def test_another_calibration_set_is_used(
    exported: Exported, dense: checkpoint.Checkpoint, mini: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dim = dataclasses.replace(mini, name="dim", train=Split(mini.train.images // 2, mini.train.labels))
    monkeypatch.setattr(data, "load", {"dim": dim, "fashion-mnist-mini": mini}.__getitem__)
    made = export(dense.path, formats=["onnx-int8"], calibration="dim", out=folder / "dim")
    after = by_name(made)["onnx-int8"]
    assert after.content != by_name(exported)["onnx-int8"].content
    assert "the training split of dim" in after.notes["calibration"]
    assert after.parity is not None
    assert after.parity.dataset == "fashion-mnist-mini"


@pytest.fixture(scope="module")
def coloured(folder: Path) -> Iterator[Dataset]:
    """20 x 12 images with three channels: a mixed-up axis cannot go unseen.

    The class is the channel that is bright, and the half of the image in which it is.
    """
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = np.arange(count) % 6
        images = rng.integers(0, 60, (count, 20, 12, 3), np.uint8)
        for image, label in zip(images, labels, strict=True):
            half = slice(0, 10) if label < 3 else slice(10, 20)
            image[half, :, label % 3] += 120
        return Split(images, labels.astype(np.int64))

    yield dataclasses.replace(
        data.load("fashion-mnist-mini"),
        name="coloured",
        train=split(600),
        validation=split(60),
        test=split(120),
        class_names=tuple("abcdef"),
        preprocessing=data.Preprocessing((0.2, 0.3, 0.4), (0.2, 0.25, 0.3)),
        flip=False,
    )


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
    onnx, int8 = export(made.path, formats=["onnx-fp32", "onnx-int8"], out=tmp_path / "out").bundle.artifacts
    assert onnx.inputs[0].shape == (1, 3, 24, 16)
    assert onnx.parity and onnx.parity.top1_agreement == 1
    assert int8.parity and int8.parity.top1_agreement > 0.9


def test_layouts_of_colour_images_that_are_not_square(
    coloured: Dataset, coloured_checkpoint: checkpoint.Checkpoint, tmp_path: Path
) -> None:
    made = export(coloured_checkpoint.path, formats=["onnx-fp32", "tflite-fp32", "tflite-int8"], out=tmp_path / "out")
    onnx, tflite, int8 = made.bundle.artifacts
    assert (onnx.inputs[0].shape, onnx.inputs[0].layout) == ((1, 3, 20, 12), "NCHW")
    assert (tflite.inputs[0].shape, tflite.inputs[0].layout) == ((1, 20, 12, 3), "NHWC")
    for artifact in (onnx, tflite, int8):
        assert artifact.parity is not None
        assert artifact.parity.top1_agreement >= 0.98
    assert tflite.parity is not None
    assert tflite.parity.sqnr_db > 100
    assert tflite.golden is not None
    inputs = read(made, tflite.golden.inputs, "float32", (32, 20, 12, 3))
    chosen = coloured.test.images[data.balanced_index(coloured.test.labels, 32)]
    plain = (chosen / 255 - [0.2, 0.3, 0.4]) / [0.2, 0.25, 0.3]
    assert np.allclose(inputs, plain, atol=1e-5)


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

    made = export(source, calibration="coloured", out=tmp_path / "made")
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
    made = export(source, formats=["onnx-fp32"], out=tmp_path / "made")
    (artifact,) = made.bundle.artifacts
    assert artifact.parity is None
    assert artifact.golden is not None
    assert artifact.golden.count == 32
    with pytest.raises(UserError, match="--calibration"):
        export(source, int8=True, out=tmp_path / "int8")
    with pytest.raises(UserError, match="cannot be made from this source"):
        export(source, formats=["torch-fp32"], out=tmp_path / "torch")


def test_a_data_set_of_another_size_is_told(
    exported: Exported, coloured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: coloured)
    source = exported.path / "onnx-fp32.onnx"
    with pytest.raises(UserError, match=r"it takes 1x28x28 .* the images of coloured are 3x20x12"):
        export(source, formats=["onnx-int8"], calibration="coloured", out=tmp_path / "wrong")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cannot open"), (b"this is no network", "cannot open"), (None, "cannot open")],
    ids=["empty", "foreign", "truncated"],
)
def test_a_bad_onnx_file(exported: Exported, tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "bad.onnx"
    whole = (exported.path / "onnx-fp32.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(BadFile, match=words) as raised:
        export(path, formats=["onnx-fp32"], out=tmp_path / "out")
    assert str(path) in raised.value.where
    assert not (tmp_path / "out").exists()


def test_a_quantised_onnx_file_is_not_quantised_again(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="quantised already"):
        export(exported.path / "onnx-int8.onnx", formats=["onnx-fp32"], out=tmp_path / "out")


def test_an_onnx_file_that_crashes_its_runtime(tmp_path: Path) -> None:
    """SIGFPE in native code: a sentence, not the end of edgebench. It loads, and dies on its first run."""
    crash = Path(__file__).parent / "data" / "crash-sigfpe.onnx"
    if not crash.exists():
        pytest.skip("tests/data/crash-sigfpe.onnx is not there")
    with pytest.raises(BadFile) as raised:
        export(crash, formats=["onnx-fp32"], out=tmp_path / "out")
    assert raised.value.where == str(crash)
    assert raised.value.seen == "onnxruntime loads it but cannot run it (the process was ended by SIGFPE)"


def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """An export format of a test: a file in a folder that is added to the registry, here and in the workers."""
    package = tmp_path / "more" / "exporters"
    package.mkdir(parents=True)
    (package / "bad.py").write_text(
        "from exporters.onnx import *\nfrom exporters.onnx import open_artifact\nfrom exporters import Made\n"
        "FORMAT, SUFFIX, SOURCES, PRECISIONS, PACKAGES, EXTRA = "
        "'onnx', '.onnx', ('checkpoint',), ('fp16',), ('onnx',), 'export'\n" + body
    )
    (tmp_path / "more" / "sitecustomize.py").write_text(
        f"import exporters; exporters.__path__.append({str(package)!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(process.ROOT), str(tmp_path / "more")]))
    monkeypatch.setattr(exporters, "__path__", [*exporters.__path__, str(package)])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def convert(job):\n import os; os.kill(os.getpid(), 11)\n", "ended by SIGSEGV"),
        ("def convert(job):\n raise RuntimeError('cannot convert Foo')\n", "RuntimeError: cannot convert Foo"),
        ("def convert(job):\n import sys; sys.exit(3)\n", "ended with status 3"),
    ],
    ids=["crash", "exception", "exit"],
)
def test_a_converter_that_fails(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    write_plugin(tmp_path, monkeypatch, body)
    with pytest.raises(UserError, match=words) as raised:
        export(dense.path, formats=["bad-fp16"], out=tmp_path / "out" / "x")
    log = tmp_path / "out" / "x-bad.log"
    assert str(log) in raised.value.remedy
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x-bad.log"], "no half bundle may stay"


def test_an_artifact_that_crashes_its_runtime(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "def convert(job):\n from pathlib import Path; out = Path(job.folder) / 'a'; out.write_bytes(b'x')\n"
        " yield Made('fp16', str(out))\n"
        "def open_artifact(path):\n import os; os.abort()\n"
    )
    write_plugin(tmp_path, monkeypatch, body)
    with pytest.raises(UserError, match="ended by SIGABRT"):
        export(dense.path, formats=["bad-fp16"], out=tmp_path / "x")


def with_other_bias(bias: str) -> str:
    """A converter whose file is right but for the last layer's `bias`, an expression of the right one."""
    return (
        "def convert(job):\n"
        " import onnx; from pathlib import Path; from onnx import numpy_helper\n"
        " out = Path(job.folder) / 'a.onnx'; from_checkpoint(Path(job.source), out); model = onnx.load(str(out))\n"
        " tensor = next(t for t in model.graph.initializer if 'classifier.bias' in t.name)\n"
        " bias = numpy_helper.to_array(tensor)\n"
        f" tensor.CopyFrom(numpy_helper.from_array({bias}, tensor.name))\n"
        " onnx.save(model, str(out)); yield Made('fp16', str(out))\n"
    )


def test_another_network_in_the_clothes_of_this_one_is_refused(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter that mixes up weights gives a file that loads, runs, and answers something else."""
    write_plugin(tmp_path, monkeypatch, with_other_bias("bias[::-1].copy() + 1"))
    with pytest.raises(UserError, match=r"dense-bad-fp16: its answers to 2000 images differ"):
        export(dense.path, formats=["bad-fp16"], out=tmp_path / "x")


def test_a_file_whose_answers_overflow_is_refused(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As half precision does to a network that answers beyond 65,504."""
    write_plugin(tmp_path, monkeypatch, with_other_bias("bias * float('inf')"))
    with pytest.raises(UserError, match=r"dense-bad-fp16: some of its answers are not numbers"):
        export(dense.path, formats=["bad-fp16"], out=tmp_path / "x")


def test_a_bundle_is_replaced_whole_and_nothing_else_is(
    exported: Exported, dense: checkpoint.Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export(dense.path, formats=["onnx-fp32", "onnx-int8"], out=out)
    export(dense.path, formats=["onnx-fp32"], out=out)
    assert not (out / "onnx-int8.onnx").exists()
    assert len(bundle.load(out).artifacts) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not a bundle"):
        export(dense.path, formats=["onnx-fp32"], out=mine)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_failed_export_leaves_the_old_bundle(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "bundle"
    before = export(dense.path, formats=["onnx-fp32"], out=out).bundle
    write_plugin(tmp_path, monkeypatch, "def convert(job):\n raise RuntimeError('no')\n")
    with pytest.raises(UserError):
        export(dense.path, formats=["onnx-fp32", "bad-fp16"], out=out)
    assert bundle.load(out) == before


def test_interrupting_ends_the_workers_and_leaves_nothing(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGINT to edgebench alone, as `kill -INT` sends it: a converter that has work for minutes must not go on."""
    started = tmp_path / "started"
    write_plugin(
        tmp_path,
        monkeypatch,
        "def convert(job):\n import os, time; from pathlib import Path\n"
        f" Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(300); yield\n",
    )
    code = (
        "from pathlib import Path; from edgebench.export import export; "
        f"export(Path({str(dense.path)!r}), formats=['bad-fp16'], out=Path('bundles/x'))"
    )
    program = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            if started.exists() and started.read_text():
                break
            time.sleep(0.1)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
    finally:
        program.kill()
        worker = Path("/proc") / started.read_text()
        gone = not worker.exists()
        if not gone:
            os.kill(int(worker.name), signal.SIGKILL)
    assert gone
    assert program.returncode != 0
    assert b"KeyboardInterrupt" in errors
    assert list((tmp_path / "bundles").iterdir()) == []


def test_names_that_cannot_be_made(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'onnx-int8'"):
        export(dense.path, formats=["onnx-in8"], out=tmp_path / "x")
    with pytest.raises(BadFile, match="no such file"):
        export(tmp_path / "nothing.safetensors", out=tmp_path / "x")
    (tmp_path / "net.pth").write_bytes(b"x")
    with pytest.raises(BadFile, match="'.pth' is no format"):
        export(tmp_path / "net.pth", out=tmp_path / "x")
    real = exporters.importlib.util.find_spec
    monkeypatch.setattr(
        exporters.importlib.util, "find_spec", lambda name: None if name == "litert_torch" else real(name)
    )
    with pytest.raises(MissingPackage, match=r"pip install 'edgebench\[export\]'"):
        export(dense.path, formats=["tflite-fp32"], out=tmp_path / "x")


def test_nothing_in_a_bundle_names_this_machines_folders(exported: Exported) -> None:
    import torch

    folders = [str(Path(torch.__file__).parent).encode(), str(exported.path).encode(), str(Path.home()).encode() + b"/"]
    for path in exported.path.rglob("*.*"):
        content = path.read_bytes()
        assert not any(folder in content for folder in folders), path


def test_a_network_that_is_wrong_on_its_data_is_told(
    exported: Exported, mini: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone else's file may want its images prepared otherwise, and nothing in it says how."""
    lines: list[str] = []
    progress = Silent()
    monkeypatch.setattr(progress, "say", lines.append)
    right = exported.path / "onnx-fp32.onnx"
    export(right, formats=["onnx-fp32"], calibration="fashion-mnist-mini", out=tmp_path / "a", progress=progress)
    assert len(lines) == 1
    mixed = Split(mini.test.images, (mini.test.labels + 1) % 10)
    monkeypatch.setattr(data, "load", lambda name: dataclasses.replace(mini, test=mixed))
    export(right, formats=["onnx-fp32"], calibration="fashion-mnist-mini", out=tmp_path / "b", progress=progress)
    assert "itself is right on only" in lines[-1]


def test_bundle_json_is_strict_and_portable(exported: Exported) -> None:
    plain = json.loads((exported.path / "bundle.json").read_text())
    assert plain["schema_version"] == bundle.SCHEMA_VERSION
    assert str(exported.path) not in json.dumps(plain), "no path of this machine may be in it"
