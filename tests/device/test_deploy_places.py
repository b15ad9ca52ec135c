"""Two deploys at once; results and caches deleted, full or read-only: an error, then the same command succeeds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgebench import deploy
from edgebench.device.job_store import JobStore
from edgebench.errors import UserError
from edgebench.schema import record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import cli_command, run_cli
from tests.support.disks import fill, make_read_only, make_writable, small_disk

QUICK = ("--plan", "quick")
# The real program with one plan more: as many rounds, at a pace, as outlive what is done meanwhile, and no more.
_PACED = """
import msgspec, sys
from edgebench.schema import plan
from edgebench.cli import main
paced = msgspec.structs.replace(
    plan.named("duty:20"), preset="paced", round_s=float(sys.argv.pop(1)), seconds_min=0.0, values_min=1,
    precision=None, warmup_max_s=0.4, warmup_window_s=0.1,
)
plan.PRESETS += (paced,)
main()
"""
# Seconds of each of its ten rounds: another program is started and ends before the last, or a file is written.
LONG_S, BRIEF_S = 1.0, 0.4


def saved(results: Path) -> list[Record]:
    return [record_files.load(path) for path in sorted(results.glob("desktop-cpu/*.json"))]


def whole(records: list[Record]) -> bool:
    """Every round once, none lost."""
    return all(
        one.outcome.status in ("complete", "budget") and [r.number for r in one.rounds] == list(range(len(one.rounds)))
        for one in records
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr, done.stderr
    return " ".join(done.stderr.split())


def paced(models: Path, round_s: float) -> list[str]:
    typed = ("deploy", "--target", "desktop-cpu", models / "relu.onnx", "--plan", "paced")
    return [sys.executable, "-c", _PACED, str(round_s), *map(str, typed)]


def start_deploy(models: Path, cwd: Path, round_s: float) -> tuple[subprocess.Popen[str], Path]:
    """The real program, and its journal once a round has arrived."""
    host = subprocess.Popen(
        paced(models, round_s), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        for journal in (cwd / "results/desktop-cpu/.jobs").glob("*/journal.jsonl"):
            if b'"event":"round"' in journal.read_bytes():
                return host, journal
        assert host.poll() is None, host.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no rounds arrived")


def deploy_again(models: Path, cwd: Path, round_s: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(paced(models, round_s), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


# ------------------------------------------------------------------ two at once


def test_the_second_of_two_deploys_says_who_measures_and_the_first_ends_well(models: Path, tmp_path: Path) -> None:
    host, journal = start_deploy(models, tmp_path, LONG_S)
    second = deploy_again(models, tmp_path, LONG_S)
    assert second.returncode == 1
    assert f"another deploy (process {host.pid}) is measuring the same there" in said(second)
    output, _ = host.communicate(timeout=300)
    assert host.returncode == 0, output
    records = saved(tmp_path / "results")
    assert len(records) == 1 and whole(records) and {one.job for one in records} == {journal.parent.name}
    assert not list((tmp_path / "results/desktop-cpu/.jobs").iterdir())


def test_into_other_results_the_second_says_which_job_the_device_has(models: Path, tmp_path: Path) -> None:
    host, _ = start_deploy(models, tmp_path, LONG_S)
    (tmp_path / "other").mkdir()
    second = deploy_again(models, tmp_path / "other", LONG_S)
    assert second.returncode == 1
    assert "has been measuring relu-onnx for" in said(second)
    assert not list((tmp_path / "other/results/desktop-cpu/.jobs").iterdir())
    host.send_signal(signal.SIGINT)
    host.communicate(timeout=60)


def test_two_that_begin_in_the_same_moment(models: Path, tmp_path: Path) -> None:
    """The first one measures; the other says so, or is late enough to measure too."""
    command = cli_command("deploy", "--target", "desktop-cpu", models / "relu.onnx", *QUICK)
    hosts = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [(*host.communicate(timeout=300), host.returncode) for host in hosts]
    assert 0 in {code for *_, code in ends}
    for _, stderr, code in ends:
        assert "Traceback" not in stderr and code in (0, 1)
        assert code == 0 or "another deploy" in " ".join(stderr.split())
    assert whole(saved(tmp_path / "results")) and not list((tmp_path / "results/desktop-cpu/.jobs").iterdir())


def test_a_claim_is_free_again_when_its_holder_ends_or_dies(tmp_path: Path) -> None:
    book = JobStore(tmp_path, "board")
    with book.claim("key"), pytest.raises(UserError, match=rf"process {os.getpid()}"):
        book.claim("key").__enter__()
    with book.claim("key"):
        pass
    left = tmp_path / "board/.jobs/key.lock"
    script = "import os; from edgebench.device.job_store import _locked, Path; "
    script += f"_locked(Path({str(left)!r})); os._exit(9)"
    subprocess.run([sys.executable, "-c", script], check=False)
    assert left.exists()
    with book.claim("key"):
        pass
    assert not list((tmp_path / "board/.jobs").iterdir())


# ------------------------------------------------------------------ results


def test_results_deleted_while_a_job_runs_are_there_when_it_has_ended(models: Path, tmp_path: Path) -> None:
    host, journal = start_deploy(models, tmp_path, BRIEF_S)
    shutil.rmtree(tmp_path / "results")
    output, _ = host.communicate(timeout=300)
    assert host.returncode == 0 and "Traceback" not in output, output
    records = saved(tmp_path / "results")
    assert len(records) == 1 and whole(records) and {one.job for one in records} == {journal.parent.name}


def test_killed_after_its_results_were_deleted_it_goes_on_from_what_was_written_anew(
    models: Path, tmp_path: Path
) -> None:
    host, journal = start_deploy(models, tmp_path, LONG_S)
    shutil.rmtree(tmp_path / "results")
    give_up = time.monotonic() + 60
    while not journal.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    host.kill()
    host.communicate()
    done = deploy_again(models, tmp_path, LONG_S)
    assert done.returncode == 0 and f"Resuming job {journal.parent.name}" in done.stderr, done.stderr
    assert len(saved(tmp_path / "results")) == 1 and whole(saved(tmp_path / "results"))


def test_a_disk_that_becomes_full_ends_in_a_sentence_and_the_same_again_goes_on(models: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "results", "size=8m") as results:
        host, journal = start_deploy(models, tmp_path, BRIEF_S)
        filler = fill(results)
        output, _ = host.communicate(timeout=300)
        text = " ".join(output.split())
        assert host.returncode == 1 and "Traceback" not in output, output
        assert "(No space left on device)" in text and "it follows the job to its end" in text
        filler.unlink()
        done = deploy_again(models, tmp_path, BRIEF_S)
        assert done.returncode == 0 and f"Resuming job {journal.parent.name}" in done.stderr, said(done)
        records = saved(results)
        assert len(records) == 1 and whole(records) and {one.job for one in records} == {journal.parent.name}
        assert not list((results / "desktop-cpu/.jobs").iterdir())


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_takes_nothing_from_the_start(how: str, models: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "results") as results:
        (results / "desktop-cpu" / ".jobs").mkdir(parents=True)
        filler = fill(results)
        if how == "read-only":
            make_read_only(results)
        done = run_cli("deploy", "--target", "desktop-cpu", models / "relu.onnx", *QUICK, cwd=tmp_path)
        assert done.returncode == 1 and "results cannot be written there" in said(done)
        assert "Measuring" not in done.stderr and not list((results / "desktop-cpu" / ".jobs").iterdir())
        make_writable(results)
        filler.unlink()
        done = run_cli("deploy", "--target", "desktop-cpu", models / "relu.onnx", *QUICK, cwd=tmp_path)
        assert done.returncode == 0 and len(saved(results)) == 1, done.stderr


def test_a_record_that_finds_no_room_is_saved_by_the_next_deploy(
    models: Path, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has ended by then: the second deploy collects the same one."""
    here, results = Target(name="desktop-cpu", transport="local"), tmp_path / "results"
    wanted = deploy.artifacts_at([models / "relu.onnx", models / "relu.tflite"])
    real, calls = Path.replace, []

    def no_room_for_the_second(self: Path, target: Path) -> Path:
        calls.extend([target] if target.parent == results / here.name else [])
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", no_room_for_the_second)
    with pytest.raises(UserError, match="the record cannot be written .No space left"):
        deploy.deploy(here, wanted, tiny_plan, results)
    assert [path.suffix for path in (results / "desktop-cpu").iterdir() if path.is_file()] == [".json"]
    (job,) = (results / "desktop-cpu" / ".jobs").iterdir()
    records = deploy.deploy(here, wanted, tiny_plan, results)
    assert {one.job for one in records} == {job.name} and len(saved(results)) == 2


# ------------------------------------------------------------------ the cache, which the agent of this machine lives in


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_cache_that_takes_nothing_is_said_and_the_same_again_measures(how: str, models: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        filler = fill(disk)
        if how == "read-only":
            make_read_only(disk)
        typed = ("deploy", "--target", "desktop-cpu", models / "relu.onnx", *QUICK)
        done = run_cli(*typed, cwd=tmp_path, EDGEBENCH_CACHE=str(disk / "cache"))
        assert done.returncode == 1 and "workdir" in said(done)
        make_writable(disk)
        filler.unlink()
        done = run_cli(*typed, cwd=tmp_path, EDGEBENCH_CACHE=str(disk / "cache"))
        assert done.returncode == 0 and len(saved(tmp_path / "results")) == 1, done.stderr


@pytest.mark.parametrize("home", ["/proc/nowhere", "file"])
def test_a_home_that_takes_nothing_is_said(home: str, models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_cli(
        "deploy", "--target", "desktop-cpu", models / "relu.onnx", *QUICK,
        cwd=tmp_path, EDGEBENCH_CACHE="", HOME=str(tmp_path / home),
    )  # fmt: skip
    assert done.returncode == 1 and "workdir" in said(done)


def test_a_device_without_room_says_so_and_is_not_confused_by_what_follows(models: Path, tmp_path: Path) -> None:
    """The rest of a large file is still on its way when the agent gives up."""
    large = tmp_path / "large.onnx"
    large.write_bytes((models / "relu.onnx").read_bytes() + b"\n" * 3_000_000)
    with small_disk(tmp_path / "disk", "size=2m") as disk:
        done = run_cli(
            "deploy", "--target", "desktop-cpu", large, *QUICK, cwd=tmp_path, EDGEBENCH_CACHE=str(disk / "cache")
        )
        assert done.returncode == 1 and "its disk is full" in said(done) and "MB are free" in said(done)
        assert not list(disk.rglob("*.part*"))


def test_lines_are_written_anew_when_the_journal_is_not_what_it_was(tmp_path: Path) -> None:
    from tests.device.test_job_store import KEY, line, request

    book = JobStore(tmp_path, "board")
    job = book.add(request())
    job.append(line(0))
    (job.folder / "journal.jsonl").unlink()
    job.append(line(1))
    shutil.rmtree(tmp_path / "board")
    job.append(line(2))
    found = book.find(KEY)
    assert found is not None and [entry.n for entry in found.entries] == [0, 1, 2]
