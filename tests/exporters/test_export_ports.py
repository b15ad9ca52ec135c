"""Networks with several inputs and outputs, by name: from the user's code to files, and how these are compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.errors import UserError
from edgebench.export import Exported, ExportOptions, export
from edgebench.modelfile.feeding import parse_request
from edgebench.schema import tensors
from edgebench.schema.bundle import TensorSpec
from exporters.arithmetic import feeds
from exporters.pipeline import answers, broken, made_up
from exporters.pipeline.export_inputs import ExportInputs

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402

from exporters.sources import module_ports, modules  # noqa: E402

CODE = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.conv = nn.Embedding(50, 8), nn.Conv2d(3, 8, 3, padding=1)
        self.classes, self.box = nn.Linear(8, 5), nn.Linear(16, 4)
    def forward(self, image, ids):
        maps = self.conv(image)
        features = maps.relu().mean((2, 3))
        logits = self.classes(features)
        both = torch.cat([features, self.table(ids).mean(1)], 1)
        return {"logits": logits, "rest": (self.box(both), maps[:, :2]), "best": logits.argmax(1)}
"""
SHAPES = ["image=1x3x16x12", "ids=1x6:int64"]
OUTPUTS = ["logits", "rest_0", "rest_1", "best"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("ports")
    (made / "two_ports.py").write_text(CODE)
    random = np.random.default_rng(1)
    arrays = {"image": random.standard_normal((40, 3, 16, 12)).astype("f4"), "ids": random.integers(0, 50, (40, 6))}
    np.savez(made / "given.npz", **arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        yield made
    sys.modules.pop("two_ports", None)


@pytest.fixture(scope="module")
def exported(folder: Path) -> Exported:
    options = ExportOptions(
        formats=["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"],
        wanted=parse_request(SHAPES),
        inputs=folder / "given.npz",
    )
    return export("two_ports:Two", options, out=folder / "out")


def test_every_input_and_output_keeps_its_name(exported: Exported) -> None:
    assert not exported.bundle.failed
    for artifact in exported.bundle.artifacts:
        assert [spec.name for spec in artifact.inputs] == ["image", "ids"]
        assert [spec.name for spec in artifact.outputs] == OUTPUTS
        image, ids = artifact.inputs
        nhwc = artifact.format == "tflite"
        assert image.shape == ((1, 16, 12, 3) if nhwc else (1, 3, 16, 12)) and ids.shape == (1, 6)
        assert ids.dtype == ("int32" if nhwc else "int64") and ids.scale is None


def test_each_output_is_compared_with_the_networks(exported: Exported) -> None:
    for artifact in exported.bundle.artifacts:
        parity = artifact.parity
        assert parity is not None and parity.accuracy is None and parity.dataset == ""
        assert parity.images == 20 and parity.samples.startswith("20 of 40 samples of given.npz, none of them")
        logits, box, maps, best = parity.outputs
        for one in (logits, box, maps):
            assert one.sqnr_db is not None and one.sqnr_db > (100 if artifact.precision == "fp32" else 25)
            assert one.cosine is not None and one.cosine > 0.99 and one.share_equal is None
        assert logits.top1_agreement == 1 and maps.top1_agreement is None
        assert best.share_equal == 1 and best.sqnr_db is None
        if artifact.precision == "int8":
            assert "relative error" in artifact.notes["chosen_by"]
            assert artifact.notes["calibration"] == "20 of 40 samples of given.npz, drawn with seed 0"


def test_golden_files_feed_each_input_and_hold_each_output(exported: Exported) -> None:
    for artifact in exported.bundle.artifacts:
        golden = artifact.golden
        assert golden is not None and golden.count == 20
        assert len(golden.inputs) == 2 and len(golden.expected) == len(golden.reference) == 4
        opened = exporters.load(artifact.format).open_artifact(exported.path / artifact.content.file)
        stored = [
            np.frombuffer((exported.path / ref.file).read_bytes(), spec.dtype).reshape(20, *spec.shape[1:])
            for ref, spec in zip(golden.inputs, artifact.inputs, strict=True)
        ]
        found = opened.run([one[3:4] for one in stored])
        for values, ref, spec in zip(found, golden.expected, artifact.outputs, strict=True):
            kept = np.frombuffer((exported.path / ref.file).read_bytes(), "i8" if spec.is_whole else "f4")
            assert np.array_equal(tensors.from_stored(values, spec).ravel(), kept.reshape(20, -1)[3])


def test_int8_without_any_data_is_one_sentence(folder: Path) -> None:
    options = ExportOptions(formats=["onnx-int8"], wanted=parse_request(SHAPES))
    with pytest.raises(UserError, match="INT8 needs samples to be made and .* Give inputs: --inputs FILE.npz"):
        export("two_ports:Two", options, out=folder / "none")
    assert not (folder / "none").exists()


# ------------------------------------------------------------------ what code takes and answers


def looked_at(folder: Path, *shapes: str) -> Any:
    asked = parse_request(shapes)
    inputs = tuple(
        TensorSpec(name, sizes, asked.dtypes.get(name, "float32"), "any") for name, sizes in asked.shapes.items()
    )
    held = str(folder / "held.pt")
    return modules.look(exporters.IsolatedModel("module", "two_ports:Two", str(folder), inputs=inputs, held=held))


def test_the_size_of_a_table_is_found_and_inputs_may_be_given_in_any_order(folder: Path) -> None:
    summary = looked_at(folder, *reversed(SHAPES))
    assert [spec.name for spec in summary.inputs] == ["image", "ids"] and summary.table_sizes == {"ids": 50}
    assert [(spec.name, spec.shape) for spec in summary.outputs] == [
        ("logits", (1, 5)), ("rest_0", (1, 4)), ("rest_1", (1, 2, 16, 12)), ("best", (1,)),
    ]  # fmt: skip
    arrays = made_up.arrays(summary.inputs, 30, summary.table_sizes)
    assert arrays["ids"].max() > 40 and arrays["ids"].max() < 50 and arrays["image"].shape == (30, 3, 16, 12)
    assert made_up.described(summary.inputs, {}) == (
        "image (normal random numbers), ids (0 and 1, as nothing tells what it takes)"
    )


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (["image=1x3x16x12"], r"it takes image, ids\. Give each"),
        (["ids=1x6:int64"], "it takes image, ids, but no|the sizes of its input 'image' are not given"),
        ([*SHAPES, "mask=1x6"], "it takes image, ids, but no 'mask'"),
        (["image=1x3x16x12", "ids=1x6"], "the network does not take 1x3x16x12, 1x6 .*Check --shape"),
    ],
)
def test_inputs_that_code_does_not_take_are_named(shapes: list[str], words: str, folder: Path) -> None:
    with pytest.raises(UserError, match=words):
        looked_at(folder, *shapes)


def test_more_than_five_axes_are_refused() -> None:
    with pytest.raises(UserError, match="its output 'output' has 6 axes. Export takes up to 5"):
        module_ports.outputs(torch.zeros(1, 1, 1, 1, 1, 1), "my:net")
    with pytest.raises(UserError, match="its output is a str"):
        module_ports.outputs("words", "my:net")


# ------------------------------------------------------------------ which output is which


def port(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, shape, dtype, "any")


def test_outputs_are_found_by_name_then_by_place_and_laid_out_as_the_parents() -> None:
    random = np.random.default_rng(0)
    logits, maps = random.random((5, 7), "f4"), random.random((5, 2, 4, 3), "f4")
    parents = (port("logits", 1, 7), port("maps", 1, 2, 4, 3))
    own = [maps.transpose(0, 2, 3, 1), logits]
    found = answers.matched(own, (port("maps", 1, 4, 3, 2), port("logits", 1, 7)), (logits, maps), parents)
    for values, wanted in zip(found.like_parent, (logits, maps), strict=True):
        assert np.array_equal(values, wanted)
    for values, wanted in zip(found.own, found.reference, strict=True):
        assert np.array_equal(values, wanted)
    cube = random.random((5, 3, 3, 3), "f4")  # either layout has these sizes: the numbers decide
    specs = (port("cube", 1, 3, 3, 3),)
    for given in (cube, cube.transpose(0, 2, 3, 1)):
        assert np.array_equal(answers.matched([given], specs, (cube,), specs).like_parent[0], cube)
    swapped = [maps, logits]  # under names that say nothing, but the sizes do
    found = answers.matched(swapped, (port("a", 1, 2, 4, 3), port("b", 1, 7)), (logits, maps), parents)
    assert found.like_parent[0] is logits and found.like_parent[1] is maps
    with pytest.raises(UserError, match="it has 1 outputs, the network it came from 2"):
        answers.matched([logits], parents[:1], (logits, maps), parents)


def test_an_output_whose_size_depends_on_the_input_is_named() -> None:
    with pytest.raises(UserError, match=r"output 'boxes'.*\[2, 4\] and \[3, 4\]"):
        feeds.joined([[np.zeros((2, 4))], [np.zeros((3, 4))]], [port("boxes", 2, 4)])


def test_what_is_broken_is_said_output_by_output() -> None:
    right = np.random.default_rng(0).standard_normal((20, 6)).astype("f4")
    outputs = (port("first", 1, 2, 3), port("second", 1, 2, 3))
    given = [right.reshape(20, 2, 3)] * 2
    for wrong, precision, words in (
        (given[0] * 1.01, "fp32", "output 'second': its answers to 20 samples differ .* by 1 %"),
        (given[0] * 0, "int8", "output 'second': .* by 1e\\+02 %"),
        (given[0] * np.nan, "int8", "output 'second': some of its answers are not numbers"),
    ):
        found = answers.ArtifactAnswers((given[0], wrong), (given[0], wrong), tuple(given))
        with pytest.raises(UserError, match=words):
            broken.refuse("net", precision, found, given, outputs)  # type: ignore[arg-type]
    fine = answers.ArtifactAnswers(tuple(given), tuple(given), tuple(given))
    broken.refuse("net", "fp32", fine, given, outputs)
    assert answers.distance(fine, given) == 0


def test_samples_for_calibration_are_not_those_for_comparing() -> None:
    for count in (2, 3, 40, 2000):
        calibrating, comparing = ExportInputs({}, count, "x.npz").parts()
        assert len(calibrating) + len(comparing) == count and not set(calibrating) & set(comparing)
    assert [list(part) for part in ExportInputs({}, 1, "x.npz").parts()] == [[0], [0]]
