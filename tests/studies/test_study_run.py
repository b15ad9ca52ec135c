"""Whole runs of small studies: what they leave, what is done again, and what a user sees of them."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebench import cli, export
from edgebench.errors import UserError
from edgebench.studies import study
from edgebench.studies.study.store import NETWORK
from tests.conftest import cli_command, run_cli
from tests.support.studies import DATASET, changed, minimal, networks, write
from tests.support.studies import without_pictures as without_pictures

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("without_pictures")

BOTH = {"dense": {}, "half": {"after": [{"prune": {"method": "l1-global", "ratio": 0.5}, "epochs": 1}]}}


@dataclass(frozen=True)
class Typed:
    """squeezed: what was printed, without line breaks."""

    code: int
    squeezed: str


Type = Callable[..., Typed]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """`edgebench study`, in this process, so that torch is imported once."""

    def run(*arguments: str | Path) -> Typed:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "argv", ["edgebench", "study", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Typed(int(end.value.code or 0), " ".join((printed.out + printed.err).split()))

    return run


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("steps/*/*")}


# ------------------------------------------------------------------ what a run leaves


@dataclass(frozen=True)
class Finished:
    path: Path
    folder: Path
    outcome: study.StudyOutcome


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("run")
    path = write(folder / "tiny.yaml", changed(epochs=1, variants=BOTH))
    return Finished(path, folder / "results", study.run(path, folder=folder / "results"))


def test_a_run_makes_everything_and_says_what_holds(finished: Finished) -> None:
    outcome = finished.outcome
    assert outcome.failures == []
    assert [(one.says, one.standing) for one in outcome.claims] == [("half is smaller", "reproduced")]
    dense, half = outcome.results.variants
    for variant, nonzero, trainings in ((dense, 12_960, 1), (half, 6_480, 2)):
        assert [run.seed for run in variant.runs] == [0, 1]
        assert {sum(layer.nonzero for layer in run.sparsity) for run in variant.runs} == {nonzero}
        assert {len(run.checkpoint.about.training) for run in variant.runs} == {trainings}
    assert half.axes["method"] == "l1-global" and half.axes["ratio"] == 0.5
    assert half.runs[0].checkpoint.about.metrics.test_images == 100
    assert half.runs[0].packed_bytes["bitmask"] < dense.runs[0].packed_bytes["bitmask"]
    for form in (".html", ".md"):
        report = outcome.report.with_suffix(form).read_text()
        assert "A tiny study" in report and "half is smaller" in report


def test_running_it_again_does_nothing_and_says_the_same(finished: Finished) -> None:
    before = times(finished.folder)
    again = study.run(finished.path, folder=finished.folder)
    assert times(finished.folder) == before
    assert again.claims == finished.outcome.claims


def test_a_step_that_is_gone_is_made_again_with_the_same_weights(finished: Finished) -> None:
    whole = networks(finished.folder)
    for path in finished.folder.rglob(f"steps/train-*-s0-*/{NETWORK}"):
        path.unlink()
    study.run(finished.path, folder=finished.folder)
    assert networks(finished.folder) == whole


def test_parts_are_run_one_by_one_and_reported_together(tmp_path: Path, typed: Type) -> None:
    part = minimal()["parts"]["mlp"]
    path = write(tmp_path / "two.yaml", {**minimal(), "parts": {"first": part, "second": {**part, "epochs": 2}}})
    report = tmp_path / "results" / "studies" / "two" / "report.md"
    one = typed("run", path, "--only", "first", "--no-measure")
    assert (one.code, "2 steps, 0 of them already done" in one.squeezed) == (0, True)
    rows = report.read_text().count(f"mlp-small {DATASET} dense")
    two = typed("run", path, "--only", "second", "--no-measure")
    assert (two.code, "2 steps, 0 of them already done" in two.squeezed) == (0, True)
    assert report.read_text().count(f"mlp-small {DATASET} dense") > rows
    three = typed("run", path)
    assert (three.code, "4 steps, 4 of them already done" in three.squeezed) == (0, True)
    assert "Report: results/studies/two/report.html" in three.squeezed


# ------------------------------------------------------------------ what cannot be had


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set is there, and no address answers."""
    monkeypatch.setenv("EDGEBENCH_DATA", str(tmp_path / "data"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("offline")
def test_a_data_set_that_cannot_be_had_fails_only_what_needs_it(tmp_path: Path, typed: Type) -> None:
    path = write(tmp_path / "s.yaml", minimal(datasets=["octmnist", DATASET]))
    ended = typed("run", path)
    assert ended.code == 1
    assert ended.squeezed.count("not made: mlp-small octmnist") == 2  # the training and its reading
    assert "could not be downloaded" in ended.squeezed
    assert f"mlp-small {DATASET} dense" in (tmp_path / "results/studies/s/report.md").read_text()
    assert "1 of them already done" not in ended.squeezed


@pytest.mark.usefixtures("offline")
def test_a_study_of_which_nothing_can_be_made_has_a_report_that_shows_nothing(tmp_path: Path, typed: Type) -> None:
    figures = [path.stem.replace("_", "-") for path in Path(study.__file__).parent.glob("figures/[a-z]*.py")]
    path = write(tmp_path / "s.yaml", {**minimal(datasets=["octmnist"]), "figures": figures})
    ended = typed("run", path)
    assert ended.code == 1
    assert "A tiny study" in (tmp_path / "results/studies/s/report.html").read_text()


def test_without_the_model_of_energy_a_study_runs_and_models_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    outcome = study.run(write(tmp_path / "s.yaml", minimal()), folder=tmp_path / "results")
    assert outcome.failures == []
    cost = outcome.results.variants[0].runs[0].checkpoint.about.training[0].cost
    assert cost is not None and not any(share.provenance == "modelled" for share in cost.energy)


def test_networks_that_cannot_be_exported_are_told_and_all_else_is_reported(
    tmp_path: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise UserError("onnx", "it is not there", "Install it")

    monkeypatch.setattr(export, "export", refused)
    ended = typed("run", write(tmp_path / "s.yaml", minimal(formats=["onnx-fp32"], targets=["desktop-cpu"])))
    assert ended.code == 1
    assert "not made: export of mlp: onnx: it is not there. Install it" in ended.squeezed
    assert "Report: " in ended.squeezed
    assert typed("run", tmp_path / "s.yaml", "--no-measure").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "mpl"], "part (s.yaml): there is no 'mpl' Did you mean 'mlp'?"),
        (["--plan", "quik"], "plan: there is no 'quik' Did you mean 'quick'?"),
        (["--targets", "gone.yaml"], "gone.yaml: there is no such file"),
        (["--targets", "mine.yaml"], "target (mine.yaml): there is no 'desktop-cpu'"),
        (["--results", "s.yaml"], "s.yaml/studies/s/steps: cannot be written (Not a directory)"),
    ],
)
def test_what_is_mistyped_is_told_before_anything_is_made(
    arguments: list[str], told: str, tmp_path: Path, typed: Type
) -> None:
    write(tmp_path / "mine.yaml", {"mine": {"transport": "local"}})
    write(tmp_path / "s.yaml", minimal(formats=["onnx-fp32"], targets=["desktop-cpu"]))
    refused = typed("run", "s.yaml", *arguments)
    assert (refused.code, told in refused.squeezed) == (1, True), refused.squeezed
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "gone.yaml"], "gone.yaml: it cannot be read"),
        (["list", "."], ".: it cannot be read (Is a directory)"),
        (["exact", "targets.yaml"], "targets.yaml: Object contains unknown field"),
        (["run", "s.yaml", "--on", "rai://head"], "there is no 'rai' Did you mean 'ray'?"),
        (["run", "s.yaml", "--on", "local://there"], "'local' takes no address"),
    ],
)
def test_other_mistakes_are_told_as_well(arguments: list[str], told: str, tmp_path: Path, typed: Type) -> None:
    write(tmp_path / "targets.yaml", {"mine": {"transport": "local"}})
    write(tmp_path / "s.yaml", minimal())
    refused = typed(*arguments)
    assert (refused.code, told in refused.squeezed) == (1, True), refused.squeezed


# ------------------------------------------------------------------ interrupted


def wait_for(there: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while not there() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert there()


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(jobs: str, tmp_path: Path) -> None:
    """On a terminal, where the signal goes to the workers as well."""
    path = write(tmp_path / "long.yaml", changed(epochs=5000))
    screen, terminal = pty.openpty()
    started = subprocess.Popen(
        cli_command("study", "run", path, "--jobs", jobs),
        cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    os.close(terminal)
    shown: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(screen, shown))
    reader.start()
    # A whole epoch of each training that is under way is there to go on from.
    states = tmp_path / "results" / "studies" / "long" / "steps"
    wait_for(lambda: len(list(states.glob("*.part/network.part"))) == int(jobs), started)
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(timeout=60) == 130
    reader.join()
    os.close(screen)
    text = " ".join(b"".join(shown).decode().split())
    assert "Stopped. Run the same command again to continue." in text
    assert "Traceback" not in text and "KeyboardInterrupt" not in text
    assert list(states.glob("*.part/network.part"))


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_a_run_ends_its_workers(ends: signal.Signals, tmp_path: Path) -> None:
    path = write(tmp_path / "long.yaml", changed(epochs=5000))
    started = subprocess.Popen(
        cli_command("study", "run", path, "--jobs", "2"),
        cwd=tmp_path, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    states = tmp_path / "results" / "studies" / "long" / "steps"
    wait_for(lambda: len(list(states.glob("*.part/network.part"))) == 2, started)
    assert len(of_session(started.pid)) > 2
    os.kill(started.pid, ends)
    assert started.wait(timeout=60) == (-ends if ends == signal.SIGKILL else 128 + ends)
    until = time.monotonic() + 60
    while of_session(started.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert of_session(started.pid) == []
    assert started.stderr is not None
    with started.stderr as errors:
        assert ends == signal.SIGKILL or b"Traceback" not in errors.read()


def of_session(number: int) -> list[int]:
    """Its processes that run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(session) == number and state != "Z":
            found.append(int(stat.parent.name))
    return found


def read_all(screen: int, into: list[bytes]) -> None:
    """Until the last process has closed the terminal."""
    try:
        while chunk := os.read(screen, 1 << 16):
            into.append(chunk)
    except OSError:
        pass


def whole_steps(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/step.json") if path.parent.suffix != ".part"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.yaml", changed(epochs=6, seeds=1, datasets=["fashion-mnist-mini@2000,100"]))
    started = subprocess.Popen(cli_command("study", "run", path, "--jobs", "2"), cwd=tmp_path, start_new_session=True)
    folder = tmp_path / "results" / "studies" / "tiny" / "steps"
    wait_for(lambda: whole_steps(folder), started)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    before = {path: path.stat().st_mtime_ns for path in whole_steps(folder)}
    assert 0 < len(before) < 8
    ended = run_cli("study", "run", path, "--jobs", "2", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "already done" in ended.stdout
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    # What was made over two runs is what one makes, whatever the number of workers.
    study.run(path, folder=tmp_path / "whole")
    assert networks(tmp_path / "whole") == networks(tmp_path / "results")
