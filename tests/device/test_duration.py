"""The estimated duration of a job is given first and stays right: with simulated devices and clocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from device_agents.python import simulation
from device_agents.python.simulation import SimulatedModel
from edgebench import deploy
from edgebench.device import duration, following, journal, simulated
from edgebench.device.duration import Range
from edgebench.device.job_store import JobRequest, StoredJob
from edgebench.device.journal import AnyLine, RoundLine, WindowLine
from edgebench.progress import Silent
from edgebench.schema import plan
from edgebench.schema.plan import Plan
from tests.conftest import run_cli
from tests.device.test_simulated import MS, TARGET

NET = simulated.network("clean")


@pytest.fixture(autouse=True)
def own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(simulation.STATE, raising=False)
    simulation.state.cache_clear()


class Told(Silent):
    """What a user reads."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def measured(
    folder: Path, models: dict[str, SimulatedModel], how: Plan, monkeypatch: pytest.MonkeyPatch
) -> tuple[JobRequest, list[AnyLine], float, list[str]]:
    """The job, its journal, the seconds that it took on the device's clock, and what was said."""
    jobs: list[StoredJob] = []
    real = StoredJob.append

    def noted(self: StoredJob, line: bytes) -> AnyLine:
        jobs.append(self)
        return real(self, line)

    monkeypatch.setattr(StoredJob, "append", noted)
    told = Told()
    bundle = simulated.write_bundle(folder / "bundle", models)
    one, *_ = deploy.deploy(TARGET, deploy.artifacts_at([bundle]), how, folder / "results", progress=told)
    assert one.facts_after is not None and one.facts_after.uptime_s is not None
    return jobs[0].request, jobs[0].entries, one.facts_after.uptime_s, told.lines


def ended_s(entry: AnyLine) -> float | None:
    """When the event of a line had ended, on the device's clock."""
    if isinstance(entry, RoundLine):
        return (entry.round.start_ns + (entry.round.duration_ns or 0)) / 1e9
    return entry.end_ns / 1e9 if isinstance(entry, WindowLine) else None


def assert_true_throughout(request: JobRequest, entries: Sequence[AnyLine], took_s: float) -> None:
    expected = duration.job_of(request, metered=False, watched=False)
    first = expected.left()
    assert first.low_s <= took_s <= first.high_s
    for entry in entries:
        expected.hear(entry)
        now_s = ended_s(entry)
        if now_s is not None:
            left = expected.left()
            assert left.low_s <= took_s - now_s + 1e-6 <= left.high_s, entry


PLANS = {
    "quick": plan.named("quick"),
    "default": plan.named("default"),
    "sustained": plan.named("sustained"),
    "mlperf": plan.named("mlperf"),
    "duty:5": plan.named("duty:5"),
    "energy": plan.with_energy(plan.named("quick")),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("board", ["clean", "throttled", "noisy"])
def test_what_a_plan_takes_lies_in_the_range_that_is_said(
    name: str, board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"net": simulated.network(board), "twin": simulated.network(board)}
    request, entries, took_s, said = measured(tmp_path, models, PLANS[name], monkeypatch)
    assert_true_throughout(request, entries, took_s)
    assert said[0] == f"Measuring 2 files takes {duration.job_of(request, metered=False, watched=False).left()}"


@pytest.mark.parametrize("latency_ms", [0.1, 90, 400])
@pytest.mark.parametrize("name", ["quick", "energy", "duty:5"])
def test_whatever_an_inference_lasts(
    name: str, latency_ms: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"net": dataclasses.replace(NET, latency_ns=round(latency_ms * MS)), "small": NET}
    request, entries, took_s, _ = measured(tmp_path, models, PLANS[name], monkeypatch)
    if latency_ms / 1e3 <= duration.UNSEEN_S:
        assert_true_throughout(request, entries, took_s)
    else:
        expected = duration.job_of(request, metered=False, watched=False)
        for entry in entries:
            expected.hear(entry)
            left, now_s = expected.left(), ended_s(entry)
            assert now_s is None or left.low_s <= took_s - now_s + 1e-6 <= left.high_s


def test_a_file_that_fails_is_expected_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"net": NET, "cpu": dataclasses.replace(NET, fallback_nodes=3), "other": dataclasses.replace(NET)}
    request, entries, took_s, _ = measured(tmp_path, models, PLANS["energy"], monkeypatch)
    expected = duration.job_of(request, metered=False, watched=False)
    for entry in entries:
        expected.hear(entry)
        left, now_s = expected.left(), ended_s(entry)
        assert now_s is None or left.low_s <= took_s - now_s + 1e-6 <= left.high_s


# ------------------------------------------------------------------ the plan alone


def test_energy_of_eight_files_is_minutes_and_more_of_everything_takes_longer() -> None:
    eight = duration.of_plan(PLANS["energy"], 8)
    assert eight.low_s > 8 * 60 and eight.high_s > 35 * 60
    assert duration.of_plan(PLANS["energy"], 8, metered=False).high_s < 5 * 60
    one, two = (duration.of_plan(PLANS["default"], count) for count in (1, 2))
    assert one.low_s < two.low_s and one.high_s < two.high_s
    tested = duration.of_plan(PLANS["default"], 1, images=10_000)
    assert tested.high_s > one.high_s + 600


def test_sustained_takes_ten_minutes_of_each_and_mlperf_five_windows() -> None:
    three = duration.of_plan(PLANS["sustained"], 3)
    assert three.low_s >= 1800 and three.high_s < 3 * (600 + 300 + 60)
    assert duration.of_plan(PLANS["mlperf"], 2).low_s >= 100


@pytest.mark.parametrize(
    ("low_s", "high_s", "text"),
    [
        (0, 1.2, "at most 2 seconds"),
        (5.9, 119.5, "5 to 120 seconds"),
        (30, 121, "30 seconds to 3 minutes"),
        (0.5, 1, "at most 1 second"),
        (1.5, 150, "1 second to 3 minutes"),
        (545, 2095, "9 to 35 minutes"),
        (3600, 7201, "60 minutes to 2.1 hours"),
        (7300, 9000, "2 to 2.5 hours"),
        (120, 120, "120 seconds"),
    ],
)
def test_a_range_is_rounded_away_from_what_lies_in_it(low_s: float, high_s: float, text: str) -> None:
    assert str(Range(low_s, high_s)) == text


# ------------------------------------------------------------------ what is said


def test_the_real_program_says_it_before_it_measures(tmp_path: Path) -> None:
    (tmp_path / "net.sim").write_text('{"latency_ns": 3000000}')
    done = run_cli("deploy", "--target", "simulated", "net.sim", "--plan", "quick", "--energy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, _, after = done.stderr.partition("Measuring 1 file takes ")
    assert after.splitlines()[0].endswith("minutes") and after.splitlines()[1] == "Measuring 1 file on simulated"
    assert "takes" not in before


class Step:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.notes.append(note)


def test_what_turns_out_otherwise_is_said_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request, entries, _, _ = measured(tmp_path, {"net": NET}, PLANS["energy"], monkeypatch)
    step, told = Step(), Told()
    show = following.JobProgress(request, step, told, duration.job_of(request, metered=True, watched=False))
    for entry in entries:
        show(entry)
    assert any(note.startswith("round 1, ") and note.endswith(" left") for note in step.notes)
    assert told.lines == []  # it was true

    loaded = {"runtime": {"name": "simulated"}, "first_inference_ns": 20 * 10**9}
    line = {"n": 3, "t_ns": 1, "event": "loaded", "artifact": 0, "loaded": loaded}
    slow = journal.decode(msgspec.json.encode(line), "here", artifacts=1)
    told = Told()
    show = following.JobProgress(request, step, told, duration.job_of(request, metered=True, watched=False))
    show(slow)
    assert told.lines[0].startswith("This takes longer than expected: ")
