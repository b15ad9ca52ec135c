"""deploy through the real agent on this machine: the real program with small real models."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from edgebench import deploy
from edgebench.analysis import verdict
from edgebench.device import agent
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.schema import record_files, targets
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import cli_command, make_relu_bundle, run_cli

HERE = Target(name="here", transport="local")


def measure(what: list[Path], plan: Plan, results: Path, target: Target = HERE) -> list[Record]:
    return deploy.deploy(target, deploy.artifacts_at(what), plan, results)


def test_a_bundle_becomes_one_complete_record_per_artifact(relu_bundle: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    records = measure([relu_bundle], tiny_plan, tmp_path / "results")
    assert [r.artifact.name for r in records] == ["relu-onnx-fp32", "relu-tflite-fp32"]
    for one in records:
        assert one.outcome.status in ("complete", "budget")
        assert one.golden is not None and one.golden.passed and one.golden.relative_error == 0
        assert one.golden.agreement_with_host == 1
        assert len(one.rounds) >= 3 and all(min(r.values_ns) > 0 for r in one.rounds)
        assert one.warmup and one.load_ns and one.first_inference_ns
        assert one.memory is not None
        assert one.memory.bare["rss_bytes"] < one.memory.running["high_water_bytes"]
        assert one.facts_before.kernel and one.facts_after is not None
        assert "rapl" in {reading.meter for reading in one.energy}
    assert records[0].job == records[1].job
    saved = record_files.load_target(tmp_path / "results", "here").records
    assert saved == records and [one.path for one in saved] == [one.path for one in records]


def test_rounds_interleave_the_artifacts_in_random_order(relu_bundle: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=12, seconds_max=60.0, precision=10.0)
    onnx, tflite = measure([relu_bundle], plan, tmp_path / "results")
    count = len(onnx.rounds)
    assert [r.number for r in onnx.rounds] == [r.number for r in tflite.rounds] == list(range(count)) and count >= 12
    first = [a.start_ns < b.start_ns for a, b in zip(onnx.rounds, tflite.rounds, strict=True)]
    assert 0 < sum(first) < count  # neither always goes first
    # and a round of one lies between two rounds of the other
    for a, b in zip(onnx.rounds, tflite.rounds[1:], strict=False):
        assert a.start_ns < b.start_ns


def test_an_inference_shorter_than_the_clock_is_timed_in_blocks(models: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    (one,) = measure([models / "relu.tflite"], tiny_plan, tmp_path / "results")
    assert all(r.block > 1 for r in one.rounds)


def test_wrong_answers_are_never_timed(tmp_path: Path, tiny_plan: Plan) -> None:
    wrong = make_relu_bundle(tmp_path / "wrong", expected=[0.0, 1.0, 3.0])
    for one in measure([wrong], tiny_plan, tmp_path / "results"):
        assert one.outcome.status == "failed" and one.outcome.kind == "wrong"
        assert one.golden is not None and not one.golden.passed
        assert one.rounds == () and one.warmup == () and one.memory is None
        assert verdict.judge(one).level == "invalid"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="integer overflow traps on x86 only")
def test_files_that_break_their_runtime_fail_alone(models: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    crash, fine = measure([models / n for n in ("crash.onnx", "relu.onnx")], tiny_plan, tmp_path / "results")
    assert (crash.outcome.status, crash.outcome.kind, crash.outcome.signal) == ("failed", "crashed", "SIGFPE")
    assert fine.rounds and fine.outcome.status != "failed"


def test_a_second_deploy_sends_no_model_bytes(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    real_send = agent.Agent.send

    def counting_send(self: agent.Agent, files: list[tuple[str, Path]]) -> None:
        sent.extend(path.stat().st_size for _, path in files)
        real_send(self, files)

    monkeypatch.setattr(agent.Agent, "send", counting_send)
    measure([relu_bundle], tiny_plan, tmp_path / "results")
    assert sum(sent) > 0
    sent.clear()
    measure([relu_bundle], tiny_plan, tmp_path / "results-2")
    assert sent == []


def test_results_that_cannot_be_written_are_said_before_measuring(models: Path, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    done = run_cli("deploy", "--target", "desktop-cpu", models / "relu.onnx", cwd=tmp_path)
    assert done.returncode == 1
    assert "results cannot be written" in done.stderr and "--results" in done.stderr
    assert "Measuring" not in done.stderr


def test_no_gpu_here_is_one_clear_sentence(models: Path, tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia/gpus").is_dir():
        pytest.skip("this machine has a GPU")
    done = run_cli("deploy", "--target", "desktop-gpu", models / "relu.onnx", cwd=tmp_path)
    assert done.returncode == 1
    assert "no GPU" in done.stderr and "Traceback" not in done.stderr


def test_an_emulated_machine_must_be_called_one(
    models: Path, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "sys/proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"raspberrypi,4-model-b\0brcm,bcm2711\0linux,dummy-virt\0")
    monkeypatch.setenv("EDGEBENCH_SYSROOT", str(tmp_path / "sys"))
    with pytest.raises(UserError, match="emulated: true"):
        measure([models / "relu.onnx"], tiny_plan, tmp_path / "results")


def test_unknown_names_are_answered_with_a_guess(models: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'local'"):
        measure([models / "relu.onnx"], tiny_plan, tmp_path, Target(name="x", transport="locl"))
    with pytest.raises(UnknownName, match="Did you mean 'onnxruntime'"):
        measure(
            [models / "relu.onnx"], tiny_plan, tmp_path, Target(name="x", transport="local", runtimes=("onxruntime",))
        )
    with pytest.raises(BadFile, match="not a format"):
        deploy.artifacts_at([tmp_path / "model.pt"])
    with pytest.raises(UnknownName, match="Did you mean 'desktop-cpu'"):
        targets.load("desktop-cpo", targets.find_file(None))


def test_two_files_of_one_name_become_two_records(models: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other/relu.onnx"
    twin.write_bytes((models / "relu.onnx").read_bytes())
    records = measure([models / "relu.onnx", twin], tiny_plan, tmp_path / "results")
    assert [r.artifact.name for r in records] == ["relu-onnx", "relu-onnx-2"]


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_deploy_ends_with_1_unless_every_file_is_measured(strict: list[str], models: Path, tmp_path: Path) -> None:
    """One crashes its runtime, and .sim cannot run here; what can be measured is shown and saved."""
    files = [models / "relu.onnx", models / "crash.onnx", tmp_path / "net.sim"]
    (tmp_path / "net.sim").write_text('{"latency_ns": 1000000}')
    done = run_cli("deploy", "--target", "desktop-cpu", *files, "--plan", "quick", *strict, cwd=tmp_path)
    said = " ".join(done.stderr.split())
    assert done.returncode == 1 and "2 of 3 not fully measured" in said and "Traceback" not in said
    assert "crash-onnx (failed: " in said and "net-sim (left out)" in said
    assert "relu-onnx (" not in said and "relu-onnx" in done.stdout
    assert sum(bool(one.rounds) for one in saved(tmp_path)) == 1


def test_deploy_ends_with_1_when_nothing_could_be_measured(models: Path, tmp_path: Path) -> None:
    done = run_cli("deploy", "--target", "desktop-cpu", models / "crash.onnx", "--plan", "quick", cwd=tmp_path)
    assert done.returncode == 1 and "1 of 1 not fully measured" in " ".join(done.stderr.split())
    assert [one.outcome.status for one in saved(tmp_path)] == ["failed"]


# ------------------------------------------------------------------ killed in the middle


def start_long_deploy(models: Path, cwd: Path) -> tuple[subprocess.Popen[str], Path]:
    """A real `edgebench deploy` that will measure for many seconds; returns once rounds have arrived."""
    command = cli_command("deploy", "--target", "desktop-cpu", models / "relu.onnx", models / "relu.tflite")
    host = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    jobs = cwd / "results/desktop-cpu/.jobs"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for journal in jobs.glob("*/journal.jsonl"):
            if journal.read_bytes().count(b'"event":"round"') >= 3:
                return host, journal
        assert host.poll() is None, host.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no rounds arrived")


def saved(cwd: Path) -> list[Record]:
    return [record_files.load(path) for path in sorted((cwd / "results/desktop-cpu").glob("*.json"))]


def test_a_killed_host_goes_on_where_it_was_and_loses_nothing(models: Path, tmp_path: Path, cache: Path) -> None:
    host, journal = start_long_deploy(models, tmp_path)
    job = journal.parent.name
    host.send_signal(signal.SIGKILL)
    host.communicate()
    before = [line for line in journal.read_bytes().splitlines() if b'"event":"round"' in line]
    assert saved(tmp_path) == []
    (pid_file,) = (cache / "agent/jobs").glob("*/pid")
    assert Path("/proc", pid_file.read_text().split()[0]).exists()  # it measures on

    done = run_cli("deploy", "--target", "desktop-cpu", models / "relu.onnx", models / "relu.tflite", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Resuming job {job}" in done.stderr
    records = saved(tmp_path)
    assert len(records) == 2 and {r.job for r in records} == {job}
    for one in records:
        assert one.outcome.status in ("complete", "budget")
        assert [r.number for r in one.rounds] == list(range(len(one.rounds)))
        starts = [r.start_ns for r in one.rounds]
        assert starts == sorted(set(starts))
    kept = {r.start_ns for one in records for r in one.rounds}
    assert {msgspec.json.decode(line)["round"]["start_ns"] for line in before} <= kept
    assert not list((tmp_path / "results/desktop-cpu/.jobs").iterdir())
    assert not list((cache / "agent/jobs").iterdir())


def test_a_killed_agent_leaves_a_record_that_says_so(models: Path, tmp_path: Path, cache: Path) -> None:
    host, _ = start_long_deploy(models, tmp_path)
    (pid_file,) = (cache / "agent/jobs").glob("*/pid")
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    output, _ = host.communicate(timeout=60)
    assert host.returncode == 1 and "2 of 2 not fully measured" in " ".join(output.split()), output
    records = saved(tmp_path)
    assert len(records) == 2
    for one in records:
        assert one.outcome.status == "agent-died"
        assert one.facts_after is None
        assert verdict.judge(one).level == "invalid"
    assert sum(len(one.rounds) for one in records) >= 3  # what it had measured is kept
    assert "the agent died after" in output.replace("\n", " ")


def test_a_killed_agent_is_no_measurement_strict_or_not(models: Path, tmp_path: Path, cache: Path) -> None:
    host, journal = start_long_deploy(models, tmp_path)
    host.kill()
    host.communicate()
    (pid_file,) = (cache / "agent/jobs").glob("*/pid")
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    again = ["deploy", "--target", "desktop-cpu", models / "relu.onnx", models / "relu.tflite", "--strict"]
    done = run_cli(*again, cwd=tmp_path)
    assert done.returncode == 1 and "relu-onnx (the agent died)" in " ".join(done.stderr.split())
    assert [one.outcome.status for one in saved(tmp_path)] == ["agent-died"] * 2
    assert {one.job for one in saved(tmp_path)} == {journal.parent.name}


def test_ctrl_c_stops_the_job_and_saves_what_there_is(models: Path, tmp_path: Path, cache: Path) -> None:
    host, _ = start_long_deploy(models, tmp_path)
    host.send_signal(signal.SIGINT)
    output, _ = host.communicate(timeout=60)
    assert host.returncode == 130, output
    assert "Traceback" not in output
    records = saved(tmp_path)
    assert [one.outcome.status for one in records] == ["stopped"] * 2
    assert sum(len(one.rounds) for one in records) >= 3
    assert all(one.facts_after is not None for one in records)  # the agent ended by itself
    assert not list((cache / "agent/jobs").iterdir())


def test_a_device_measures_for_one_host_at_a_time(models: Path, tmp_path: Path) -> None:
    host, _ = start_long_deploy(models, tmp_path)
    (tmp_path / "other").mkdir()
    done = run_cli("deploy", "--target", "desktop-cpu", models / "relu.onnx", cwd=tmp_path / "other")
    assert done.returncode == 1
    assert "busy" in done.stderr
    assert not list((tmp_path / "other/results/desktop-cpu/.jobs").iterdir())
    host.send_signal(signal.SIGINT)
    host.communicate(timeout=60)
