"""selftest: a file against itself, on a simulated device, on this machine, and in made-up records."""

from __future__ import annotations

import dataclasses
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from device_agents.python.simulation import SimulatedBoard, SimulatedModel
from edgebench import selftest
from edgebench.analysis import verdict
from edgebench.device import simulated
from edgebench.errors import UserError
from edgebench.progress import Silent
from edgebench.schema import plan, record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Outcome
from edgebench.schema.targets import Target
from edgebench.selftest import Pair, SelfTest
from tests.conftest import run_cli
from tests.device.test_simulated import measure
from tests.support.records import FACTS, STEADY, make_record, make_rounds

HERE = Target(name="here", transport="local", runtimes=("onnxruntime",))


def pair(ratio: float, *, p50_ns: float = 50_000.0, spread: float = 1.0, sampled: bool = True) -> Pair:
    """Two records of one job; their rounds differ by the ratio and by STEADY, stretched."""
    facts = msgspec.structs.replace(FACTS, clock_step_ns=50, clock_resolution_ns=10)
    first = make_record("net-onnx-fp32", facts=facts, rounds=make_rounds([p50_ns] * len(STEADY)))
    twins = [p50_ns * ratio * (1 + spread * (factor - 1)) for factor in STEADY]
    return Pair(first, make_record("net-onnx-fp32-2-onnx-fp32", rounds=make_rounds(twins)), sampled)


def made(*pairs: Pair) -> SelfTest:
    return SelfTest("board", plan.named("quick"), (0.001, 0.003, 0.002), pairs)


def test_a_difference_has_to_exceed_what_identical_files_differ_by() -> None:
    # STEADY reaches 0.2 % to both sides
    assert pair(1.0).reach == pytest.approx(0.002, abs=2e-4)
    assert pair(1.03).reach == pytest.approx(0.032, abs=3e-4) == pair(1 / 1.03).reach
    five = made(*[pair(1.0) for _ in range(3)], pair(1.01), pair(1.2))
    assert five.detectable == pytest.approx(0.012, abs=3e-4)
    assert not five.useless and made(*[pair(1.06)] * 2).useless


def test_rounds_without_an_interval_tell_nothing() -> None:
    short = Pair(*(make_record(rounds=make_rounds([50_000.0] * 3)) for _ in range(2)), True)
    assert made(short, short).detectable == math.inf and made(short, short).useless


def test_the_observer_is_what_sampled_jobs_are_slower_by() -> None:
    jobs = [
        pair(1.0, p50_ns=p50 * factor, sampled=factor > 1) for factor in (1.01, 1.0) for p50 in (100.0, 101.0, 99.0)
    ]
    assert made(*jobs).observer.value == pytest.approx(0.01, abs=2e-3)
    assert made(*jobs).observer.low is None
    more = made(*jobs, *jobs)
    assert more.observer.low is not None and more.observer.high is not None


def test_the_report_fits_a_terminal_and_says_what_was_found() -> None:
    imprecise = dataclasses.replace(pair(1.0), first=make_record(outcome=Outcome("budget")))
    lines = list(made(pair(1.01), pair(1.0, sampled=False), imprecise).lines())
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "50 ns" in text and "below 5 µs" in text and "2.00 ms a round trip, at most 3.00 ms" in text
    assert "1 of 3 jobs report a difference" in text and "1 of 3 jobs within 3 s" in text
    assert "1 different, 2 same within 3%, 0 not resolved" in text


def test_what_two_jobs_differ_by_is_told_as_well() -> None:
    jobs = [
        Pair(*(msgspec.structs.replace(one, job=f"job-{number}") for one in (made_.first, made_.twin)), number != 1)
        for number, made_ in enumerate(pair(1.0, p50_ns=p50_ns) for p50_ns in (50_000.0, 80_000.0, 30_000.0))
    ]
    (line,) = (line for line in made(*jobs).lines() if "can resolve" in line)
    assert "inside one job, above " in line and line.endswith("% between two jobs") and len(line) <= 80


def test_what_jobs_differ_by_is_known_from_several_jobs_only() -> None:
    three = [pair(1.0, p50_ns=p50, sampled=p50 != 51_000.0) for p50 in (50_000.0, 51_000.0, 52_000.0)]
    assert made(*three).jobs_deviation is None  # all of one job
    found = made(
        *(
            Pair(*(msgspec.structs.replace(one, job=f"j{number}") for one in (each.first, each.twin)), each.sampled)
            for number, each in enumerate(three)
        )
    )
    assert found.jobs_deviation is not None and found.facts()["detectable_between_jobs"] is not None


def test_this_machine_is_compared_with_itself(tiny_plan: Plan) -> None:
    found = selftest.selftest(HERE, tiny_plan, runs=1, progress=Silent())
    assert [one.sampled for one in found.pairs] == [True, False]
    for one in found.pairs:
        assert one.first.artifact.content == one.twin.artifact.content
        assert one.first.job == one.twin.job and one.ratio.paired
    on, off = (one.first for one in found.pairs)
    assert (on.plan.sampling, off.plan.sampling) == (True, False)
    assert all(trip_s > 0 for trip_s in found.round_trips_s)


def test_a_device_that_is_not_sampled_is_not_looked_at_between_rounds(tmp_path: Path, tiny_plan: Plan) -> None:
    for sampling in (True, False):
        how = msgspec.structs.replace(tiny_plan, sampling=sampling)
        (one,) = measure(tmp_path / str(sampling), {"net": SimulatedModel(1_000_000)}, how)
        assert all((round_.temperature_c is not None) is sampling for round_ in one.rounds)
        assert one.facts_before.temperature_c is not None and one.facts_after is not None


def test_a_clean_simulated_device_passes_as_typed(tmp_path: Path) -> None:
    done = run_cli("selftest", "--target", "simulated", "--plan", "quick", "--runs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 jobs of plan quick" in done.stdout and "can resolve" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not (tmp_path / "results").exists()


def test_ctrl_c_reports_the_jobs_that_are_done_and_keeps_their_records(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgebench", "selftest", "--target", "simulated", "--plan", "quick"]
    process = subprocess.Popen(
        [*command, "--runs", "500", "--results", "kept"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    kept = tmp_path / "kept/simulated"
    try:
        while process.poll() is None and len(list(kept.glob("*.json"))) < 6:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "Traceback" not in output
    (jobs,) = (int(line.split()[2]) for line in output.splitlines() if line.strip().startswith("stopped after"))
    loaded = record_files.load_target(tmp_path / "kept", "simulated")
    assert not loaded.skipped
    done = [one for one in loaded.records if one.outcome.status != "stopped"]
    assert 2 <= jobs < 1000 and len(done) in (2 * jobs, 2 * jobs + 2)  # it may come just after a job


def test_a_device_that_is_too_noisy_for_the_plan_exits_with_3(tmp_path: Path) -> None:
    noisy = SimulatedModel(1_000_000, wander=0.3, wander_s=0.5, device=SimulatedBoard(seed=1))
    bundle = simulated.write_bundle(tmp_path / "noisy", {"net": noisy})
    done = run_cli("selftest", "--target", "simulated", bundle, "--plan", "quick", "--runs", "1", cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "too noisy" in done.stdout


def test_a_file_that_cannot_be_measured_is_said(models: Path, tiny_plan: Plan) -> None:
    with pytest.raises(UserError, match="was not measured"):
        selftest.selftest(HERE, tiny_plan, file=models / "crash.onnx", runs=1, progress=Silent())


def test_the_examples_can_be_deployed_as_they_say(tmp_path: Path) -> None:
    written = run_cli("selftest", "--example", "boards", cwd=tmp_path)
    commands = dict(zip(simulated.BOARDS, written.stdout.splitlines(), strict=True))
    assert commands["throttled"] == "edgebench deploy --target simulated boards/throttled"
    _, *arguments = commands["throttled"].split()
    done = run_cli(*arguments, "--strict", cwd=tmp_path)
    assert done.returncode == 3
    assert "the board reported: throttled" in done.stdout


@pytest.mark.parametrize("board", [name for name in simulated.BOARDS if name != "throttled"])
def test_every_example_board_is_judged_as_its_name_says(board: str, tmp_path: Path) -> None:
    net, faster = measure(
        tmp_path, {"net": simulated.network(board, seed=1), "faster": simulated.network(board, seed=1, faster=0.02)}
    )
    levels = {verdict.judge(one).level for one in (net, faster)}
    assert (levels == {"valid"}) is (board == "clean")
