"""deploy --baseline --fail-if: old and new files in one job, what belongs together, and measuring more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from edgebench import gated, publish
from edgebench.analysis import gate
from edgebench.deploy import artifacts_at
from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.gated import Gate
from edgebench.schema import record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import run_cli
from tests.support.records import make_record, make_rounds, save_all

HERE = Target(name="board", transport="local")
NOISE = (1.04, 0.97, 1.02, 0.98, 1.01, 1.03, 0.96, 1.0)
Played = list[tuple[list[str], Plan]]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Every job that is asked for; new files take 1.06 of their baseline's time, noisily, and 1.2 in the second job."""
    asked: Played = []

    def play(target: Target, wanted: Sequence[LocalArtifact], plan: Plan, *_: object, **__: object) -> list[Record]:
        asked.append(([one.artifact.name for one in wanted], plan))
        number = len(asked)
        factor = 1.06 if number == 1 else 1.2

        def played(one: LocalArtifact) -> Record:
            is_base = one.artifact.name.endswith("-baseline")
            medians = [50_000.0 * (1.0 if is_base else factor * noise) for noise in NOISE]
            changes = {"artifact": one.artifact, "job": f"job-{number}", "created": f"2026112{number}T100000Z"}
            return msgspec.structs.replace(make_record(rounds=make_rounds(medians)), **changes)

        return [played(one) for one in wanted]

    monkeypatch.setattr(gated.deploy_, "deploy", play)
    return asked


@pytest.fixture
def files(models: Path, tmp_path: Path) -> Callable[..., list[LocalArtifact]]:
    def make(*names: str) -> list[LocalArtifact]:
        for name in names:
            (tmp_path / name).write_bytes((models / f"relu{Path(name).suffix}").read_bytes())
        return artifacts_at([tmp_path / name for name in names])

    return make


Files = Callable[..., list[LocalArtifact]]


def run(
    new: list[LocalArtifact], plan: Plan, folder: Path, baseline: Path | None, *checks: str, more: bool = True
) -> gated.Gated:
    asked = Gate(baseline, tuple(map(gate.parse, checks)), (folder,), more)
    return gated.deploy(HERE, new, plan, folder / "results", asked=asked)


def test_the_old_file_is_measured_in_the_same_job(files: Files, jobs: Played, tiny_plan: Plan, tmp_path: Path) -> None:
    new, _ = files("new.onnx", "old.onnx")
    found = run([new], tiny_plan, tmp_path, tmp_path / "old.onnx", "latency_p50 > 1.001", more=False)
    assert [names for names, _ in jobs] == [["new-onnx", "new-onnx-baseline"]]
    assert jobs[0][1].rounds_per_process == 2 and jobs[0][1].rounds_min >= 12
    (check,) = found.comparison.checks
    assert (check.artifact, check.state) == ("new-onnx", "failed")
    assert found.comparison.rows[1].ratio is not None and found.comparison.rows[1].ratio.paired


def test_what_is_not_resolved_is_measured_once_more_and_for_longer(
    files: Files, jobs: Played, tiny_plan: Plan, tmp_path: Path
) -> None:
    new, _ = files("new.onnx", "old.onnx")
    found = run([new], tiny_plan, tmp_path, tmp_path / "old.onnx", "latency_p50 > 1.05")
    assert len(jobs) == 2 and jobs[1][1].rounds_min >= 1.5 * len(NOISE) and found.longer >= 1.5
    assert [one.state for one in found.comparison.checks] == ["failed"]
    run([new], tiny_plan, tmp_path, tmp_path / "old.onnx", "latency_p50 > 1.5", "size > 2")
    assert len(jobs) == 3  # resolved at once


def test_files_are_paired_by_name_else_by_format(files: Files, jobs: Played, tiny_plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    files("old/net.onnx", "old/net.tflite")
    records = [
        msgspec.structs.replace(make_record(job="old"), artifact=one.artifact, id=f"old-{one.artifact.name}")
        for one in artifacts_at([tmp_path / "old" / "net.onnx", tmp_path / "old" / "net.tflite"])
    ]
    save_all(tmp_path / "earlier", records)
    for names in (("net.onnx", "net.tflite"), ("v2.tflite", "v2.onnx")):
        run(files(*names), tiny_plan, tmp_path, tmp_path / "earlier", "latency_p50 > 2")
        new = [name.replace(".", "-") for name in names]
        assert jobs[-1][0] == [*new, *(f"{name}-baseline" for name in new)]
    with pytest.raises(UserError, match="none of its files"):
        run(files("a.onnx", "b.onnx"), tiny_plan, tmp_path, tmp_path / "earlier", "size > 2")


def test_a_publication_brings_the_baselines_file(files: Files, jobs: Played, tiny_plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (one,) = files("old/net.onnx")
    (path,) = save_all(tmp_path / "earlier", [msgspec.structs.replace(make_record(), artifact=one.artifact)])
    packed = publish.publish([record_files.load(path)], tmp_path / "p.zip", with_files=True, places=(tmp_path / "old",))
    (tmp_path / "old" / "net.onnx").unlink()
    run(files("new.onnx"), tiny_plan, tmp_path, packed.path, "size > 2")
    assert jobs[-1][0] == ["new-onnx", "new-onnx-baseline"]


def test_without_the_file_the_record_is_compared(files: Files, jobs: Played, tiny_plan: Plan, tmp_path: Path) -> None:
    save_all(tmp_path / "earlier", [make_record("new-onnx-fp32", job="old", created="20261101T100000Z")])
    found = run(files("new.onnx"), tiny_plan, tmp_path, tmp_path / "earlier", "latency_p50 > 1.02")
    assert [names for names, _ in jobs] == [["new-onnx"]] and len(found.apart) == 1
    (check,) = found.comparison.checks  # between two jobs, and it is not known what they differ by
    assert check.state == "not resolved"


def test_budgets_need_no_baseline(files: Files, jobs: Played, tiny_plan: Plan, tmp_path: Path) -> None:
    found = run(files("new.onnx"), tiny_plan, tmp_path, None, "latency_p50 < 1s")
    assert [one.state for one in found.comparison.checks] == ["passed"] and jobs[0][1] == tiny_plan
    with pytest.raises(UserError, match="there is none"):
        run(files("new.onnx"), tiny_plan, tmp_path, None, "latency_p50 > 1.05")
    with pytest.raises(UserError, match="names none of the files"):
        run(files("new.onnx"), tiny_plan, tmp_path, None, "latency_p50 < 1s for other-*")
    with pytest.raises(UserError, match="no such file"):
        run(files("new.onnx"), tiny_plan, tmp_path, tmp_path / "typo.onnx", "size > 2")
    assert len(jobs) == 1


def test_real_files_are_paired_round_by_round(files: Files, tiny_plan: Plan, tmp_path: Path) -> None:
    new, _ = files("new.onnx", "old.onnx")
    found = run([new], tiny_plan, tmp_path, tmp_path / "old.onnx", "latency_p50 > 30", more=False)
    own, base = sorted(found.records, key=lambda one: len(one.artifact.name))
    assert own.job == base.job and {one.number for one in own.rounds} & {one.number for one in base.rounds}
    assert [row.is_baseline for row in found.comparison.rows] == [True, False]


def test_the_command_ends_with_3_and_writes_what_it_found(models: Path, tmp_path: Path) -> None:
    typed = ("deploy", "--target", "desktop-cpu", "--plan", "quick", models / "relu.onnx")
    checks = ("--fail-if", "latency_p50 < 1s", "--fail-if", "latency_p50 < 1ns", "--fail-if", "accuracy > 1%")
    ran = run_cli(*typed, *checks, "--junit", "j.xml", "--summary", "s.md", cwd=tmp_path)
    assert ran.returncode == 3, ran.stderr
    assert "1 of 3 checks passed" in ran.stdout and "failed: latency_p50 < 1ns" in ran.stdout
    assert 'failures="1" skipped="1"' in (tmp_path / "j.xml").read_text()
    assert "1 failed, 1 not resolved, 1 passed" in (tmp_path / "s.md").read_text()
    assert run_cli(*typed, "--unresolved", "maybe", cwd=tmp_path).returncode == 2
