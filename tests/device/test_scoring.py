"""`deploy --accuracy` of files that say nothing of a test set: on the device as on the host, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from device_agents.python import reductions
from edgebench import compare, deploy
from edgebench.analysis import report_text
from edgebench.analysis.report import markdown
from edgebench.analysis.verdict import judge
from edgebench.device.job_store import AccuracyTest
from edgebench.device.provisioning import WorkingRuntime
from edgebench.errors import UserError
from edgebench.networks import scored_files
from edgebench.networks.scored_files import Question
from edgebench.networks.scoring import ScoreChoice
from edgebench.progress import Silent
from edgebench.schema import plan, record_files, targets
from edgebench.schema.plan import Plan
from edgebench.schema.preprocessing import Geometry
from edgebench.schema.record import Record
from tests.device.test_accuracy import dots as dots
from tests.device.test_accuracy import dotted
from tests.support import detectors

pytest.importorskip("onnx")
pytest.importorskip("pycocotools")
pytest.importorskip("ai_edge_litert")
onnxruntime = pytest.importorskip("onnxruntime")

FILE = Path(__file__).parents[2] / "targets.yaml"
HERE, SIMULATED = targets.load("desktop-cpu", FILE), targets.load("simulated", FILE)
IMAGES = 12


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector, as two files, and its scenes three times as large, every box a fifth of its width too far right."""
    folder = tmp_path_factory.mktemp("squares")
    detectors.network(folder / "squares.onnx")
    detectors.network_tflite(folder / "squares.tflite")
    detectors.coco(folder / "data", IMAGES, scale=3, shift=0.2)
    return folder


def question(file: Path, choice: ScoreChoice) -> Question:
    (local,) = deploy.artifacts_at([file])
    return scored_files.question(local, choice, partial(scored_files.loaded, progress=Silent()))


def answers_on_host(file: Path, asked: Question) -> list[list[Any]]:
    """Of ONNX Runtime in this process, condensed by the agent's own functions."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    preprocessing = asked.local.artifact.preprocessing
    assert preprocessing is not None
    fed = [preprocessing.apply(asked.test.images[place : place + 1]) for place in range(len(asked.test.images))]
    name = session.get_inputs()[0].name
    return [reductions.reduced(session.run(None, {name: one}), asked.asked.reduction) for one in fed]


def test_a_detector_is_scored_on_the_device_as_on_the_host(squares: Path, tmp_path: Path, tiny_plan: Plan) -> None:
    choice = ScoreChoice(str(squares / "data/val.json"), "0..1", Geometry(letterbox=(64, 64)))
    wanted = deploy.artifacts_at([squares / "squares.onnx", squares / "squares.tflite"])
    one, two = deploy.deploy(
        HERE, wanted, plan.with_accuracy(tiny_plan), tmp_path / "results", deploy.DeployOptions(score=choice)
    )
    on_host = question(squares / "squares.onnx", choice)
    assert one.scored == on_host.scored(answers_on_host(squares / "squares.onnx", on_host))
    assert one.scored is not None and one.answers is None and one.path is not None
    # IoU is 0.8 / 1.2: four of ten thresholds; boxes at the right edge could not be shifted.
    found = {score.metric: score.value for score in one.scored.scores}
    assert found["mAP50"] == pytest.approx(1.0) and 0.4 < found["mAP50-95"] < 0.6
    assert two.scored is not None and two.scored.reading.startswith("postprocess head")
    assert two.scored.scores[1].value == pytest.approx(1.0) and two.scored.test_sha256 == one.scored.test_sha256
    assert one.artifact.preprocessing is not None and one.artifact.preprocessing.geometry == choice.geometry
    assert record_files.load(one.path) == one
    worse = [msgspec.structs.replace(score, value=score.value / 2, resampled=tuple(x / 2 for x in score.resampled))
             for score in one.scored.scores]  # fmt: skip
    other = msgspec.structs.replace(
        one, id="other", scored=msgspec.structs.replace(one.scored, scores=tuple(worse)),
        artifact=msgspec.structs.replace(one.artifact, name="other"),
    )  # fmt: skip
    comparison = compare.compare([one, other])
    assert f"| mAP50-95 {found['mAP50-95']:.3f} (" in markdown.render(comparison)
    change = next(row for row in comparison.rows if row.record.id == "other").score_change
    assert change is not None and change.value == pytest.approx(-found["mAP50-95"] / 2) and change.high < 0  # type: ignore[operator]
    assert "on the same samples of the images" in " ".join(map(report_text.scores, comparison.rows))
    nothing = [msgspec.structs.replace(score, value=0.0) for score in one.scored.scores]
    useless = msgspec.structs.replace(one, scored=msgspec.structs.replace(one.scored, scores=tuple(nothing)))
    assert any("mAP50-95 is 0.0000: its answers are of no use" in reason.seen for reason in judge(useless).reasons)
    renamed = msgspec.structs.replace(one.scored.scores[0], metric="mIoU")
    unlike = msgspec.structs.replace(other, scored=msgspec.structs.replace(one.scored, scores=(renamed,)))
    rows = compare.compare([one, unlike]).rows
    assert all(row.score_change is None for row in rows), "different metrics are not set against each other"


def test_a_metric_that_fails_costs_no_measurement(
    dots: Any, tmp_path: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = tmp_path / "metric_that_is_mended.py"
    code.write_text("import numpy as np\nright = None\n"
                    "def share(outputs, targets):\n"
                    "    (logits,) = outputs.values()\n"
                    "    return (logits.argmax(1) == targets).mean() / right\n")  # fmt: skip
    where = dotted(tmp_path / "b")
    said: list[str] = []

    class Listening(Silent):
        def say(self, message: str) -> None:
            said.append(message)

    def measure() -> Record:
        choice, how = ScoreChoice(metric="metric_that_is_mended:share"), plan.with_accuracy(tiny_plan)
        return deploy.deploy(
            SIMULATED,
            deploy.artifacts_at([where]),
            how,
            tmp_path / "r",
            deploy.DeployOptions(score=choice),
            progress=Listening(),
        )[0]

    with pytest.raises(UserError, match="it raised TypeError.*nothing is measured twice"):
        measure()
    assert not list((tmp_path / "r").glob("*/*.json"))
    import metric_that_is_mended  # type: ignore[import-not-found]

    metric_that_is_mended.right = 1
    one = measure()
    assert any("Resuming job" in line for line in said)
    assert one.scored is not None and [(score.metric, score.value) for score in one.scored.scores] == [("share", 0.9)]


REFUSED = {
    "no data": (ScoreChoice(None, "0..1"), r"which test set it is for\. Give one.*--dataset photos/ --preproc"),
    "no preprocessing": (ScoreChoice("{}/data/val.json"), r"what its input is made of\. .*--preprocessing 0..1"),
    "another size": (ScoreChoice("{}/data/val.json", "0..1"), r"is 64x64, the images are 192x192.*--resize 64x64"),
    "another task": (ScoreChoice("{}/data/val.json", "0..1", Geometry(letterbox=(64, 64)), "segmentation"),
                     "--task segmentation: it is scored by masks"),
    "a task that is none": (ScoreChoice("{}/data/val.json", "0..1", Geometry(letterbox=(64, 64)), "detektion"),
                            "Did you mean 'detection'"),
    "a metric that is none": (ScoreChoice("{}/data/val.json", "0..1", Geometry(letterbox=(64, 64)), None, "gone:gone"),
                              "it cannot be imported"),
    "no such data": (ScoreChoice("{}/gone", "0..1"), "there is no such file or folder"),
    "mixed sizes": (ScoreChoice("{}/mixed", "0..1"), r"its images have 2 sizes.*--letterbox 640"),
    "classes": (ScoreChoice("{}/photos", "0..1"), r"it answers with 588 numbers, the test images have 2 classes"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scored_is_refused_before_anything_is_measured(name: str, squares: Path, tmp_path: Path) -> None:
    choice, said = REFUSED[name]
    if name == "mixed sizes":
        root = detectors.yolo(tmp_path / "mixed", 2)
        Image.new("RGB", (80, 64)).save(root / "images/1.png")
    if name == "classes":
        for split in ("train", "test"):
            for kind in ("a", "b"):
                (tmp_path / "photos" / split / kind).mkdir(parents=True)
                for number in range(2):
                    pixels = np.full((64, 64, 3), number + 3 * (kind == "a") + 9 * (split == "test"), np.uint8)
                    Image.fromarray(pixels).save(tmp_path / "photos" / split / kind / f"{number}.png")
    places = [one for one in (squares, tmp_path) if choice.dataset and Path(choice.dataset.format(one)).exists()]
    dataset = choice.dataset and choice.dataset.format(places[0] if places else tmp_path)
    with pytest.raises(UserError, match=said):
        question(squares / "squares.onnx", replace(choice, dataset=dataset))


def test_data_for_testing_alone_is_enough(tmp_path: Path) -> None:
    for place in ("photos/test/a", "photos/test/b", "only/val/a", "only/val/b"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.full((4, 4), 40 * number + len(place), np.uint8)).save(
                tmp_path / place / f"{number}.png"
            )
    np.savez(tmp_path / "x.npz", x_test=np.zeros((6, 4, 4), np.uint8), y_test=np.arange(6) % 2)
    lines = [f"only/val/{kind}/{number}.png,{kind},test" for kind in "ab" for number in range(3)]
    (tmp_path / "m.csv").write_text("path,label,split\n" + "\n".join(lines))
    for name in ("photos", "photos/test", "only", "x.npz", "m.csv"):
        found = scored_files.loaded(str(tmp_path / name), None, None, 1, Silent())
        assert found.images.shape == (6, 4, 4, 1) and len(found.class_names) == 2, name


def test_a_phones_page_is_scored_on_classes_alone() -> None:
    page = WorkingRuntime("onnxruntime-web", "")
    classes = AccuracyTest("photos", "AAA=", (("a", 1),), {"kind": "top", "output": 0, "count": 5})
    assert deploy._test_spec("net", page, classes)["reduction"] == {"kind": "classes"}
    with pytest.raises(UserError, match="a page in a phone's browser .* is scored on one class an image only"):
        deploy._test_spec("net", page, AccuracyTest("val.json", "", (("a", 1),), {"kind": "boxes"}))
