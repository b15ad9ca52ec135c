"""How a network wants its images prepared: a wrong way is found, and the right one named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import exporters
from edgebench.errors import UnknownName, UserError
from edgebench.export import ExportOptions, export
from edgebench.networks import data, normalisation
from edgebench.networks.data import Dataset, Split
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from edgebench.schema.preprocessing import Preprocessing
from exporters.pipeline import export_images, preprocessing_choice
from exporters.pipeline.opening import open_source
from exporters.sources.source_model import SourceRequest
from exporters.workers.process import WorkerPool
from tests.support.export_sources import dense as dense
from tests.support.export_sources import quick as quick
from tests.support.export_sources import small as small

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402


def test_a_wrong_preprocessing_is_found_and_the_right_one_named(dense: checkpoint.Checkpoint, tmp_path: Path) -> None:
    """0..255 against 0..1: the mistake that costs accuracy and says nothing."""

    class Unscaled(torch.nn.Module):
        """Takes bytes and does itself what the data set prescribes."""

        def __init__(self) -> None:
            super().__init__()
            self.network = rebuild(dense)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.network((image / 255 - 0.286) / 0.353)
            return answer

    source = tmp_path / "unscaled.onnx"
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(Unscaled(), (torch.zeros(1, 1, 28, 28),), str(source), dynamo=False, opset_version=17)
    options, out = ExportOptions(dataset="fashion-mnist-mini", formats=["onnx-fp32"]), tmp_path / "out"
    with pytest.raises(UserError, match=r"\d\d% when prepared as '0\.\.255' \(chance: 10%\)") as raised:
        export(source, options, out=out)
    assert "--preprocessing 0..255" in raised.value.remedy
    (artifact,) = export(source, dataclasses.replace(options, preprocessing="0..255"), out=out).bundle.artifacts
    assert artifact.parity is not None
    assert artifact.parity.parent_accuracy == pytest.approx(dense.about.metrics.accuracy, abs=0.01)


def test_preprocessings_are_what_their_names_say() -> None:
    ends = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    prescribed = Preprocessing((0.286,), (0.353,))
    for name, wanted in (("0..255", (0, 255)), ("0..1", (0, 1)), ("-1..1", (-1, 1))):
        assert normalisation.named(name, prescribed).apply(ends).reshape(-1).tolist() == pytest.approx(wanted)
    assert normalisation.named("data-set", prescribed) is prescribed
    with pytest.raises(UnknownName, match=r"Did you mean '0\.\.255'"):
        normalisation.named("0-255", prescribed)
    with pytest.raises(UserError, match="for 3 channels"):
        normalisation.named("imagenet", prescribed)


def test_a_network_that_is_right_often_enough_is_not_asked_again() -> None:
    labels = np.arange(10).repeat(10)
    answers = np.eye(10, dtype=np.float32)[labels]
    asked: list[Preprocessing] = []

    def ask(other: Preprocessing) -> np.ndarray:
        asked.append(other)
        return answers

    prescribed = Preprocessing((0.5,), (0.5,))
    preprocessing_choice.refuse_wrong("net", "data", prescribed, answers, labels, ask)
    assert asked == []
    with pytest.raises(UserError):
        preprocessing_choice.refuse_wrong("net", "data", prescribed, answers[::-1], labels, ask)
    assert len(asked) == 3


def test_bytes_that_were_scaled_already(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ones = dataclasses.replace(small, name="ones", train=Split(small.train.images // 255, small.train.labels))
    monkeypatch.setattr(data, "load", {"ones": ones, "fashion-mnist-mini": small}.__getitem__)
    parent = open_source(SourceRequest(str(dense.path), calibration="ones"), tmp_path, WorkerPool(tmp_path))
    with pytest.raises(UserError, match="divided by 255"):
        export_images.load(parent)
