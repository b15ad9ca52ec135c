"""A study's networks exported and measured: what is measured, what is not measured again, and what is kept of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edgebench import deploy
from edgebench.deploy import LocalArtifact
from edgebench.errors import Unreachable, UserError
from edgebench.schema import bundle, checkpoint, plan, record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Outcome, Record
from edgebench.schema.targets import Target
from edgebench.studies import study
from edgebench.studies.study import claims, collect, deployment, file_checks, intact, matrix, places, scheduler
from edgebench.studies.study.file import Claim, Side
from edgebench.studies.study.matrix import Matrix
from edgebench.studies.study.store import StudyStore
from tests.conftest import make_relu_bundle
from tests.studies.test_study_scheduler import Lines
from tests.support.records import make_record, save_all
from tests.support.studies import Fake, minimal, write

pytest.importorskip("torch")


class Board:
    """A target on which `deploy` measures at once: artifacts take 50 us, the copy 1 % more."""

    def __init__(self) -> None:
        self.jobs: list[list[str]] = []
        self.outcome = Outcome("complete")
        self.unreachable = False

    def deploy(
        self, target: Target, wanted: Sequence[LocalArtifact], how: Plan, results: Path, **_: Any
    ) -> list[Record]:
        if self.unreachable:
            raise Unreachable(f"target '{target.name}'", "nobody answers", "Switch it on")
        self.jobs.append([source.artifact.name for source in wanted])
        created = f"2026112{len(self.jobs)}T100000Z"
        records = [self._measured(one, target, how, created) for one in wanted]
        save_all(results, records)
        return records

    def _measured(self, source: LocalArtifact, target: Target, how: Plan, created: str) -> Record:
        slower = 1.01 if source.artifact.name.endswith(deployment.COPY) else 1.0
        return make_record(
            source.artifact, target=target.name, job=f"job-{len(self.jobs)}", created=created,
            p50_ns=50_000 * slower, plan=how, outcome=self.outcome,
        )  # fmt: skip


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    board = Board()
    monkeypatch.setattr(deploy, "deploy", board.deploy)
    return board


class Measured:
    """A study of two variants whose steps are stand-ins, and whose bundles are relu's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        variants = {"dense": {}, "control": {"after": [{"epochs": 1}]}}
        self.file = file_checks.load(
            write(folder / "s.yaml", minimal(variants=variants, formats=["onnx-fp32"], targets=["desktop-cpu"]))
        )
        self.parts = matrix.parts(self.file)
        self.matrix: Matrix = matrix.expand(self.parts)
        self.store = StudyStore(folder / "out")
        monkeypatch.setattr(places, "open_place", lambda on, jobs: Fake(folder))
        scheduler.make(self.matrix, self.store, "local", 1, Lines())
        monkeypatch.setattr(deployment.export, "export", self._export)
        self.exported: list[str] = []

    def _export(self, source: Path, _options: Any, *, out: Path, **_: Any) -> Any:
        self.exported.append(out.name)
        shutil.rmtree(out, ignore_errors=True)
        make_relu_bundle(out, expected=[0.0, 1.0, 2.0])
        self.belongs_to(out, checkpoint.load(source).digest)
        return SimpleNamespace(path=out, bundle=bundle.load(out))

    def belongs_to(self, folder: Path, digest: str) -> None:
        bundle.save(msgspec.structs.replace(bundle.load(folder), source={"digest": digest}), folder)

    def measure(self, preset: str = "quick") -> list[scheduler.StudyFailure]:
        given = deployment.conditions(self.parts, preset, None)
        return deployment.measure(self.parts, self.matrix, self.store, given, Lines())

    @property
    def records(self) -> list[Record]:
        return record_files.load_target(self.store.folder / deployment.RECORDS, "desktop-cpu").records


@pytest.fixture
def measured(tmp_path: Path, board: Board, monkeypatch: pytest.MonkeyPatch) -> Measured:
    return Measured(tmp_path, monkeypatch)


def test_one_job_has_every_network_and_the_first_one_twice(measured: Measured, board: Board) -> None:
    assert measured.measure() == []
    (job,) = board.jobs
    assert len(job) == len(set(job)) == 5  # two bundles of two files, and the copy
    copies = [one for one in measured.records if deployment.is_copy(one)]
    assert [one.artifact.name for one in copies] == [job[0] + deployment.COPY]


def test_what_was_measured_is_not_measured_again(measured: Measured, board: Board) -> None:
    measured.measure()
    measured.measure()
    assert len(board.jobs) == 1
    measured.measure("default")  # more thorough
    assert len(board.jobs) == 2
    measured.measure("quick")
    assert len(board.jobs) == 2


@pytest.mark.parametrize("status", ["stopped", "agent-died"])
def test_a_job_that_did_not_end_is_measured_again(status: Any, measured: Measured, board: Board) -> None:
    board.outcome = Outcome(status, reason="it ended early")
    if status == "stopped":
        with pytest.raises(KeyboardInterrupt):
            measured.measure()
    else:
        measured.measure()
    board.outcome = Outcome("complete")
    measured.measure()
    assert len(board.jobs) == 2


def test_a_target_that_does_not_answer_is_told_and_asked_again(measured: Measured, board: Board) -> None:
    board.unreachable = True
    (failure,) = measured.measure()
    assert (failure.what, str(failure.error)) == (
        "mlp on desktop-cpu", "target 'desktop-cpu': nobody answers. Switch it on",
    )  # fmt: skip
    board.unreachable = False
    assert measured.measure() == []
    assert len(board.jobs) == 1


def test_a_bundle_of_another_network_is_exported_anew(measured: Measured) -> None:
    measured.measure()
    measured.measure()
    dense, control = measured.exported
    _, cell = measured.matrix.cells
    digest = intact.digests(measured.matrix, measured.store)[cell.network]
    assert deployment.bundled(cell, digest, measured.store) is not None
    measured.belongs_to(measured.store.folder / "bundles" / control, "0" * 64)
    assert deployment.bundled(cell, digest, measured.store) is None
    measured.measure()
    assert measured.exported == [dense, control, control]


def test_without_formats_or_networks_nothing_is_measured(measured: Measured, board: Board) -> None:
    bare = {"mlp": msgspec.structs.replace(measured.parts["mlp"], formats=())}
    given = deployment.conditions(bare, "quick", None)
    assert given.targets == {}
    assert deployment.measure(bare, measured.matrix, measured.store, given, Lines()) == []
    nothing = StudyStore(measured.store.folder / "empty")
    given = deployment.conditions(measured.parts, "quick", None)
    assert deployment.measure(measured.parts, measured.matrix, nothing, given, Lines()) == []
    assert board.jobs == []


def test_an_unknown_plan_or_target_is_told_first(measured: Measured) -> None:
    with pytest.raises(UserError, match="there is no 'quik'"):
        deployment.conditions(measured.parts, "quik", None)
    elsewhere = {"mlp": msgspec.structs.replace(measured.parts["mlp"], targets=("rpi9",))}
    with pytest.raises(UserError, match="there is no 'rpi9'"):
        deployment.conditions(elsewhere, "quick", None)


def test_the_band_of_a_job_is_what_its_identical_files_differ_by(measured: Measured) -> None:
    measured.measure()
    (band,) = collect._bands(
        [measured.records[:1] + [one for one in measured.records if deployment.is_copy(one)]]
    ).values()
    assert band == pytest.approx(1.01)
    assert collect._bands([[one for one in measured.records if deployment.is_copy(one)]]) == {}
    assert len(intact.digests(measured.matrix, measured.store)) == 4


@pytest.mark.slow
@pytest.mark.export
def test_two_networks_are_exported_and_measured_once_for_real(tmp_path: Path) -> None:
    variants = {"dense": {}, "half": {"before": {"method": "l1-uniform", "ratio": 0.5}}}
    path = write(tmp_path / "s.yaml", minimal(variants=variants, formats=["onnx-fp32"], targets=["desktop-cpu"]))
    outcome = study.run(path, folder=tmp_path / "results")
    assert outcome.failures == []
    dense, half = outcome.results.variants
    assert [len(one.runs[0].records) for one in (dense, half)] == [1, 1]
    records = record_files.load_target(tmp_path / "results" / "studies" / "s" / "records", "desktop-cpu").records
    assert len(records) == 3 and len({one.job for one in records}) == 1
    assert [band >= 1 for band in outcome.results.bands.values()] == [True]
    same = Claim("x", part="mlp", metric="latency_ratio", of=Side("half"), to=Side("dense"), at_least=0.01, at_most=100)
    (verdict,) = claims.judge([same], outcome.results)
    assert verdict.standing == "reproduced", verdict.seen
    bundles = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("bundle.json")}
    assert len(bundles) == 2

    study.run(path, folder=tmp_path / "results")
    assert len(record_files.load_target(tmp_path / "results" / "studies" / "s" / "records", "desktop-cpu").records) == 3
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("bundle.json")} == bundles


def test_plans_are_ordered_by_how_thorough_they_are() -> None:
    """`measuring` takes a record of a later one for enough."""
    assert [one.seconds_min for one in plan.PRESETS] == sorted(one.seconds_min for one in plan.PRESETS)
