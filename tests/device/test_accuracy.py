"""`deploy --accuracy`: a whole test set answered on the device by the file that was timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from device_agents.python.simulation import SimulatedModel
from edgebench import compare, deploy
from edgebench.analysis import stats, verdict
from edgebench.analysis.report import markdown
from edgebench.device import accuracy, following, records_from_journal, simulated
from edgebench.device.agent import Agent
from edgebench.device.job_store import AccuracyTest, JobRequest, StoredJob
from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.networks import data, scored_files
from edgebench.networks.data import Dataset, Split
from edgebench.networks.scoring import ScoreChoice
from edgebench.progress import Silent
from edgebench.schema import bundle, plan, targets
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.plan import Plan
from edgebench.schema.preprocessing import Preprocessing
from edgebench.schema.record import Answers, Record
from tests.conftest import run_cli
from tests.support.records import make_artifact, make_parity, make_record

TARGET = targets.load("simulated", Path(__file__).parents[2] / "targets.yaml")
PREPROCESSING = Preprocessing(mean=(0.5,), std=(0.5,))
PIXEL = TensorSpec("number", (1, 1, 1, 1), "uint8", "NHWC", folded=True)
IMAGES, WRONG = 1200, 120


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """1200 images of one pixel; the class is its parity, and a tenth of the labels is wrong."""
    pixels = np.random.default_rng(0).integers(0, 256, IMAGES, np.uint8)
    labels = pixels.astype(np.int64) % 2
    labels[:WRONG] = 1 - labels[:WRONG]
    split = Split(pixels.reshape(-1, 1, 1, 1), labels)
    made = Dataset("dots", split, split, split, ("even", "odd"), PREPROCESSING, flip=False, licence="")
    monkeypatch.setattr(data, "load", lambda name: {"dots": made}[name])
    return made


def dotted(folder: Path, *, host_accuracy: float = 0.9, **models: SimulatedModel) -> Path:
    """A simulated bundle that names the test set of its artifacts, as an exported one does."""
    path = simulated.write_bundle(folder, models or {"net": SimulatedModel(1_000_000)})
    made = bundle.load(path)
    parity = make_parity("dots", IMAGES, host_accuracy, host_accuracy)
    artifacts = tuple(
        msgspec.structs.replace(one, inputs=(PIXEL,), parity=parity, preprocessing=PREPROCESSING)
        for one in made.artifacts
    )
    bundle.save(msgspec.structs.replace(made, artifacts=artifacts), path)
    return path


def score(folder: Path, where: Path, how: Plan) -> list[Record]:
    return deploy.deploy(TARGET, deploy.artifacts_at([where]), plan.with_accuracy(how), folder / "results")


# ------------------------------------------------------------------ through the real agent


def test_the_whole_test_set_is_answered_by_the_file_that_is_timed(tmp_path: Path) -> None:
    (one,) = score(tmp_path, dotted(tmp_path / "b"), plan.named("quick"))
    assert one.rounds and verdict.judge(one).reasons == ()
    assert one.answers is not None and (one.answers.dataset, one.answers.images) == ("dots", IMAGES)
    found = stats.accuracy(one.answers)
    assert found.value == 0.9 and found.low is not None and found.high is not None
    assert (found.low, found.high) == pytest.approx(stats.wilson_interval(1080, 1200))
    text = markdown.render(compare.compare([one]))
    assert "| 90.00% (88.2-91.6) |" in text
    assert "accuracy on the device 90.00% on 1200 test images of dots (88.17% to 91.57%), on the host 90.00%" in text


def test_files_of_one_job_are_compared_image_by_image(tmp_path: Path, tiny_plan: Plan) -> None:
    """The second file calls everything even: it is right where the label is 0."""
    models = {"net": SimulatedModel(1_000_000), "even": SimulatedModel(1_000_000, answers=[[1.0, 0.0], [1.0, 0.0]])}
    net, even = score(tmp_path, dotted(tmp_path / "b", **models), tiny_plan)
    row = compare.compare([net, even]).rows[1]
    assert row.accuracy_change is not None and net.answers is not None and even.answers is not None
    expected = stats.accuracy(even.answers).value - 0.9
    assert row.accuracy_change.points.value == pytest.approx(expected) and expected < -0.3
    assert row.accuracy_change.points.high is not None and row.accuracy_change.points.high < expected + 0.05
    assert f"{100 * expected:+.2f} points against the baseline" in markdown.render(compare.compare([net, even]))


def test_a_test_set_is_sent_once(tmp_path: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    send = Agent.send

    def counting(self: Agent, files: Sequence[tuple[str, Path]]) -> None:
        sent.extend(sha256 for sha256, _ in files)
        send(self, files)

    monkeypatch.setattr(Agent, "send", counting)
    where = dotted(tmp_path / "b", one=SimulatedModel(1_000_000), two=SimulatedModel(2_000_000))
    score(tmp_path, where, tiny_plan)
    loaded = partial(scored_files.loaded, progress=Silent())
    (local,) = deploy.artifacts_at([where])[:1]
    pieces = {sha256 for sha256, _ in scored_files.question(local, ScoreChoice(), loaded).test_set().test.pieces}
    assert len(pieces) == 3 and all(sent.count(sha256) == 1 for sha256 in pieces), "both take the same bytes"
    sent.clear()
    score(tmp_path, where, msgspec.structs.replace(tiny_plan, seed=1))
    assert sent == []


def test_a_job_that_an_earlier_deploy_left_behind_brings_its_accuracy(
    tmp_path: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = dotted(tmp_path / "b")
    follow = following.follow

    def killed(*_: Any, **__: Any) -> Any:
        raise MemoryError("as if the host were killed")

    monkeypatch.setattr(following, "follow", killed)
    with pytest.raises(MemoryError):
        score(tmp_path, where, tiny_plan)
    monkeypatch.setattr(following, "follow", follow)
    (one,) = score(tmp_path, where, tiny_plan)
    assert one.answers is not None and stats.accuracy(one.answers).value == 0.9


def test_answers_that_are_not_those_of_the_host_are_suspect(tmp_path: Path, tiny_plan: Plan) -> None:
    (one,) = score(tmp_path, dotted(tmp_path / "b", host_accuracy=0.95), tiny_plan)
    assert "accuracy on the device 90.00%, on the host 95.00%" in [reason.seen for reason in verdict.judge(one).reasons]


def test_what_does_not_take_the_images_fails_with_its_times_kept(tmp_path: Path, tiny_plan: Plan) -> None:
    where = dotted(tmp_path / "b")
    made = bundle.load(where)
    wide = msgspec.structs.replace(PIXEL, dtype="float32", folded=False)
    bundle.save(
        msgspec.structs.replace(made, artifacts=(msgspec.structs.replace(made.artifacts[0], inputs=(wide,)),)), where
    )
    (one,) = score(tmp_path, where, tiny_plan)
    assert one.rounds and one.answers is None
    assert (one.outcome.status, one.outcome.stage) == ("failed", "answer")
    assert "a sample has 4 bytes, the model takes 1" in one.outcome.reason


def test_a_file_that_names_no_test_set_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "net.sim").write_text('{"latency_ns": 3000000}')
    done = run_cli("deploy", "--target", "simulated", "net.sim", "--accuracy", cwd=tmp_path)
    assert done.returncode == 1 and "--dataset photos/ --preprocessing" in " ".join(done.stderr.split())
    assert not list((tmp_path / "results").glob("*/*.json"))


# ------------------------------------------------------------------ pieces


@pytest.mark.parametrize(("size", "count"), [(3_000_000, 2), (9_000_000, 1)])
def test_pieces_are_small_enough_for_a_board(size: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TensorSpec("x", (1, size // 4), "float32", "NC")
    artifact = msgspec.structs.replace(make_artifact("net-onnx-fp32"), inputs=(spec,), preprocessing=PREPROCESSING)
    images = np.zeros((5, 1, size // 4, 1), np.uint8)
    pieces = list(accuracy._pieces(artifact, images))
    assert [found for found, _ in pieces] == [count] * (5 // count) + [1] * (5 % count)
    assert all(len(content) == found * size for found, content in pieces)


def test_inputs_are_quantised_and_laid_out_as_the_file_takes_them(dots: Dataset) -> None:
    spec = TensorSpec("x", (1, 1, 1, 1), "int8", "NHWC", scale=1 / 128, zero_point=0)
    artifact = msgspec.structs.replace(make_artifact("net-tflite-int8"), inputs=(spec,), preprocessing=PREPROCESSING)
    ((count, content),) = accuracy._pieces(artifact, dots.test.images[:200])
    expected = np.clip(np.round((dots.test.images[:200].ravel() / 127.5 - 1) * 128), -128, 127)
    assert count == 200 and np.array_equal(np.frombuffer(content, np.int8), expected)


# ------------------------------------------------------------------ what becomes of a journal


def request(pieces: tuple[tuple[str, int], ...]) -> JobRequest:
    artifact = make_artifact("net-onnx-fp32")
    test = AccuracyTest("dots", accuracy.classes([0, 1, 2, 3]), pieces)
    how = msgspec.structs.replace(plan.named("quick"), accuracy=True)
    specs = ({"runtime": "x", "golden": None},)
    return JobRequest("1-a", "a", "1", TARGET, how, (artifact,), specs, {artifact.name: test})


def answered(pieces: dict[int, list[int]], folder: Path) -> Answers | None:
    lines = [{"event": "answers", "artifact": 0, "piece": n, "answers": classes} for n, classes in pieces.items()]
    lines.append({"event": "end", "status": "done", "complete": [0]})
    job = StoredJob(folder / "-".join(map(str, pieces)), request((("a", 3), ("b", 1))))
    for n, line in enumerate(lines):
        job.append(json.dumps({"n": n, "t_ns": n, **line}).encode())
    (one,) = records_from_journal.to_records(job, agent_died=None, version="1")
    return one.answers


def test_a_part_of_a_test_set_is_no_accuracy(tmp_path: Path) -> None:
    whole = answered({1: [0], 0: [0, 1, 3]}, tmp_path)
    assert whole is not None and stats.accuracy(whole).value == 0.5
    assert answered({0: [0, 1, 3]}, tmp_path) is None
    assert answered({0: [0, 1], 1: [0]}, tmp_path) is None


def test_an_accuracy_that_was_asked_for_and_is_not_there_is_said() -> None:
    how = msgspec.structs.replace(plan.named("quick"), seconds_min=0.0, accuracy=True)
    (reason,) = verdict.judge(msgspec.structs.replace(make_record(), plan=how)).reasons
    assert reason.level == "suspect" and "did not answer the whole test set" in reason.seen


def test_changes_have_the_interval_of_matched_pairs() -> None:
    """Agresti and Min's adjusted Wald interval, by hand: 30 won, 10 lost of 200."""
    labels = accuracy.classes([1] * 200)
    base = Answers("dots", 200, accuracy.classes([0] * 30 + [1] * 170), labels)
    own = Answers("dots", 200, accuracy.classes([1] * 190 + [0] * 10), labels)
    change = stats.accuracy_change(own, base)
    assert change is not None and change.points.value == pytest.approx(0.1)
    assert change.points.ends == pytest.approx((0.0384, 0.1596), abs=1e-4)
    assert (change.flipped, change.won, change.lost) == (40, 30, 10) and change.p == pytest.approx(0.0022, abs=1e-4)
    other = msgspec.structs.replace(base, labels_base64=accuracy.classes([2] * 200))
    assert stats.accuracy_change(own, other) is None


def test_an_artifact_of_before_is_refused_with_the_remedy() -> None:
    """It does not say how its images are prepared."""
    local = LocalArtifact(make_artifact("net-onnx-fp32"), Path())
    with pytest.raises(UserError, match="--preprocessing"):
        scored_files.question(local, ScoreChoice("dots"), partial(scored_files.loaded, progress=Silent()))
