"""What is in a bundle, by the real converters. One small network is trained once and becomes everything."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

import exporters
from edgebench import deploy
from edgebench.analysis import stats
from edgebench.errors import UserError
from edgebench.export import Exported, ExportOptions, export
from edgebench.networks import data
from edgebench.networks.data import Dataset, Split
from edgebench.schema import bundle, checkpoint, plan, tensors
from edgebench.schema.targets import Target
from exporters.workers import inference, process
from exporters.workers.messages import RunTask
from tests.support.exported import ALL, by_name, read
from tests.support.exported import dense as dense
from tests.support.exported import exported as exported
from tests.support.exported import folder as folder
from tests.support.exported import mini as mini

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)


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
        inputs = read(exported, artifact.golden.inputs[0], source.dtype, (count, *source.shape[1:]))
        expected = read(exported, artifact.golden.expected[0], "float32", (count, 10))
        raw = run[artifact.format](exported.path / artifact.content.file, inputs)
        assert raw.dtype.name == sink.dtype
        answers = raw.astype(np.float32)
        if sink.scale is not None:
            answers = (answers - sink.zero_point) * np.float32(sink.scale)
        assert tensors.relative_error(answers, expected) <= 1e-5
        reference = read(exported, artifact.golden.reference[0], "float32", (count, 10))
        assert tensors.agreement(expected, reference) >= 0.9


def test_golden_inputs_are_test_images_of_all_classes(exported: Exported, mini: Dataset) -> None:
    artifact = by_name(exported)["onnx-fp32"]
    assert artifact.golden is not None
    inputs = read(exported, artifact.golden.inputs[0], "float32", (32, 1, 28, 28))
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
        assert notes["chosen_by"].endswith("the parent was not trained on these images")
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
    wanted = [
        one for one in deploy.artifacts_at([exported.path]) if one.artifact.name.removeprefix("dense-") in formats
    ]
    here = Target(name="here", transport="local", runtimes=("onnxruntime", "litert"))
    how = msgspec.structs.replace(plan.with_accuracy(plan.named("quick")), seconds_min=0.0, seconds_max=0.2)
    for one in deploy.deploy(here, wanted, how, folder / "results"):
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

    def run(stored: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        asked.append(stored)
        return opened.run(stored)

    np.save(tmp_path / "images.npy", mini.test.images[:count])
    task = RunTask(
        str(exported.path / artifact.content.file),
        str(tmp_path / "images.npy"),
        mini.preprocessing,
        str(tmp_path / "a"),
    )
    spied = dataclasses.replace(opened, run=run)
    (in_batches,) = inference.answers(exporter, spied, opened.inputs, task)
    assert len(asked) == (count if artifact.format == "torch" else inference.BATCH)
    one_by_one = msgspec.structs.replace(task, one_by_one=True)
    assert np.array_equal(in_batches, inference.answers(exporter, opened, opened.inputs, one_by_one)[0])


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
    dynamic = export(dense.path, ExportOptions(formats=formats, dynamic_batch=True), out=folder / "dynamic")
    images = mini.preprocessing.apply(mini.test.images[:5])
    for name in formats[:2]:
        sessions = [onnxruntime.InferenceSession(made.path / f"{name}.onnx") for made in (exported, dynamic)]
        assert [session.get_inputs()[0].shape for session in sessions] == [[1, 1, 28, 28], ["batch", 1, 28, 28]]
        one_by_one = [sessions[0].run(None, {"input": image[None]})[0] for image in images]
        together = sessions[1].run(None, {"input": images})[0]
        assert tensors.relative_error(together, np.concatenate(one_by_one)) < 1e-5
    for name in formats[2:]:
        opened = [tflite.open_artifact(made.path / f"{name}.tflite") for made in (exported, dynamic)]
        stored = tensors.to_stored(images, opened[0].inputs[0])
        one_by_one = [opened[0].run([image[None]])[0].copy() for image in stored]
        assert opened[1].run_many is not None
        together = opened[1].run_many([stored])[0]
        assert together.shape == (5, 10)
        assert tensors.relative_error(together.astype(np.float32), np.concatenate(one_by_one)) < 1e-5
        # A device that knows nothing of it takes one.
        assert np.array_equal(opened[1].run([stored[:1]])[0], one_by_one[0])
    with pytest.raises(UserError, match="torch-fp32 takes one image at a time"):
        export(dense.path, ExportOptions(formats=["torch-fp32"], dynamic_batch=True), out=folder / "never")
    assert not (folder / "never").exists()


@pytest.mark.usefixtures("started_workers")  # Python's hashes have another seed
def test_files_are_the_same_bytes_each_time(
    exported: Exported, dense: checkpoint.Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so `deploy` sends nothing twice. Neither the source's file name matters nor how many files answer at once."""
    monkeypatch.setattr(process.os, "cpu_count", lambda: 8)
    formats = ["onnx-fp32", "onnx-int8"]
    again = export(dense.path, ExportOptions(formats=formats), out=folder / "again")
    for name in formats:
        assert by_name(again)[name].content == by_name(exported)[name].content
        assert by_name(again)[name].parity == by_name(exported)[name].parity


def test_a_poisoned_test_split_changes_no_file(
    exported: Exported, dense: checkpoint.Checkpoint, mini: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration and choice must not look at the test split: with other test images, the same bytes come out."""
    poisoned = dataclasses.replace(mini, test=Split(255 - mini.test.images, mini.test.labels))
    monkeypatch.setattr(data, "load", lambda name: poisoned)
    made = export(dense.path, ExportOptions(formats=["onnx-int8"]), out=folder / "poisoned")
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
    made = export(dense.path, ExportOptions(formats=["onnx-int8"], calibration="dim"), out=folder / "dim")
    after = by_name(made)["onnx-int8"]
    assert after.content != by_name(exported)["onnx-int8"].content
    assert "the training split of dim" in after.notes["calibration"]
    assert after.parity is not None
    assert after.parity.dataset == "fashion-mnist-mini"


def test_a_bundle_is_replaced_whole_and_nothing_else_is(
    exported: Exported, dense: checkpoint.Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export(dense.path, ExportOptions(formats=["onnx-fp32", "onnx-int8"]), out=out)
    export(dense.path, ExportOptions(formats=["onnx-fp32"]), out=out)
    assert not (out / "onnx-int8.onnx").exists()
    assert len(bundle.load(out).artifacts) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not a bundle"):
        export(dense.path, ExportOptions(formats=["onnx-fp32"]), out=mine)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_nothing_in_a_bundle_names_this_machines_folders(exported: Exported) -> None:
    import torch

    folders = [str(Path(torch.__file__).parent).encode(), str(exported.path).encode(), str(Path.home()).encode() + b"/"]
    for path in exported.path.rglob("*.*"):
        content = path.read_bytes()
        assert not any(folder in content for folder in folders), path


def test_bundle_json_is_strict_and_portable(exported: Exported) -> None:
    plain = json.loads((exported.path / "bundle.json").read_text())
    assert plain["schema_version"] == bundle.SCHEMA_VERSION
    assert str(exported.path) not in json.dumps(plain), "no path of this machine may be in it"
