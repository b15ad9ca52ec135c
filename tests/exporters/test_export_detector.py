"""A detector and images with boxes, from the export to the device: the parent's mAP, the files', and the device's."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from edgebench import compare, deploy
from edgebench.analysis import answer, device_scores
from edgebench.errors import UserError
from edgebench.networks import data
from edgebench.networks.scoring import ScoreChoice
from edgebench.schema import plan, targets
from edgebench.schema.bundle import TEST_SET
from edgebench.schema.plan import Plan
from tests.support import detectors

pytestmark = pytest.mark.export
pytest.importorskip("onnx")
pytest.importorskip("pycocotools")
HERE = targets.load("desktop-cpu", Path(__file__).parents[2] / "targets.yaml")


def test_int8_of_a_detector_is_scored_by_its_boxes(tmp_path: Path, tiny_plan: Plan) -> None:
    from edgebench.export import ExportOptions, export

    images = detectors.split(tmp_path / "squares", 12, 6)
    options = ExportOptions(("onnx-int8",), dataset=str(images), preprocessing="0..1")
    made = export(detectors.network(tmp_path / "net.onnx"), options, out=tmp_path / "bundle")
    (artifact,) = made.bundle.artifacts
    parity = artifact.parity
    assert parity is not None and parity.accuracy is None and parity.images == 6
    assert (parity.metric, parity.score, parity.parent_score) == ("mAP50-95", pytest.approx(1), pytest.approx(1))
    moved = shutil.copytree(tmp_path / "squares", tmp_path / "elsewhere")
    how, choice = plan.with_accuracy(tiny_plan), ScoreChoice(str(moved / "data.yaml"))
    (one,) = deploy.deploy(
        HERE, deploy.artifacts_at([made.path]), how, tmp_path / "r", deploy.DeployOptions(score=choice)
    )
    assert one.scored is not None and one.scored.scores[0].value == pytest.approx(1)
    assert one.scored.test_sha256 == artifact.notes[TEST_SET]
    (moved / "labels/val/12.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UserError, match="its test images are not those that net-onnx-int8 was exported with"):
        deploy.deploy(HERE, deploy.artifacts_at([made.path]), how, tmp_path / "r", deploy.DeployOptions(score=choice))
    with pytest.raises(UserError, match="says itself how its images are prepared"):
        wrong = ScoreChoice(str(images), "0..255")
        deploy.deploy(HERE, deploy.artifacts_at([made.path]), how, tmp_path / "r", deploy.DeployOptions(score=wrong))
    worse = msgspec.structs.replace(parity, score=0.4)
    spoiled = msgspec.structs.replace(one, artifact=msgspec.structs.replace(artifact, parity=worse))
    assert device_scores.loss(spoiled, None) == ("mAP50-95", pytest.approx(0.6))
    assert "it loses 0.600 of mAP50-95" in " ".join(answer.of(compare.compare([spoiled])).lines)


def test_boxes_are_not_trained_on_and_need_a_split_for_ranges(tmp_path: Path) -> None:
    images = detectors.split(tmp_path / "squares", 3, 2)
    with pytest.raises(UserError, match="its images have boxes, which networks are scored on, not trained on"):
        data.prepared(str(images))
    made = data.prepared(str(images), with_targets=True)
    assert (len(made.train), len(made.validation), len(made.test)) == (2, 1, 2) and made.annotated is not None
    alone = detectors.coco(tmp_path / "alone", 2)
    with pytest.raises(UserError, match="it names no images for training"):
        data.prepared(str(alone), with_targets=True)
    shutil.copy(alone, alone.with_name("train.json"))
    assert len(data.prepared(str(alone), with_targets=True).train) == 1
