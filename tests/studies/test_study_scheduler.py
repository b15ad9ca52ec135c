"""The steps of a study: made once, after their parents, kept whole, and looked at before anything is built on them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import pytest

from edgebench.errors import UnknownName, UserError
from edgebench.progress import Silent
from edgebench.schema import checkpoint
from edgebench.studies.study import intact, places, scheduler
from edgebench.studies.study.matrix import Matrix, StudyStep
from edgebench.studies.study.places import local
from edgebench.studies.study.store import NETWORK, StudyStore
from tests.support.studies import TINY, Fake, expand, metadata, minimal, write

torch = pytest.importorskip("torch")


class Lines(Silent):
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def tiny(tmp_path: Path) -> Matrix:
    return expand(write(tmp_path / "tiny.yaml", TINY))


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(tmp_path / "out")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """The place that is opened, whatever was asked for."""
    fake = Fake(tmp_path)
    monkeypatch.setattr(places, "open_place", lambda on, jobs: fake)
    return fake


def make(matrix: Matrix, store: StudyStore, progress: Lines | None = None) -> list[scheduler.StudyFailure]:
    return scheduler.make(matrix, store, "local", 1, progress or Lines())


def steps_of(matrix: Matrix, kind: str, words: str) -> list[StudyStep]:
    return [step for step in matrix.steps.values() if step.kind == kind and words in step.label]


# ------------------------------------------------------------------ each once, after its parents


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_is_done_is_not_made_again(tiny: Matrix, store: StudyStore, place: Fake, jobs: int) -> None:
    place.jobs = jobs
    assert make(tiny, store) == []
    assert (len(place.asked), place.closed) == (16, [False])
    place.asked.clear()
    said = Lines()
    assert make(tiny, store, said) == []
    assert place.asked == []
    assert said.lines == ["16 steps, 16 of them already done"]


def test_a_failed_step_takes_only_what_needs_it(tiny: Matrix, store: StudyStore, place: Fake) -> None:
    place._failing = "change mlp-small fashion-mnist-mini@200,100 half s1"
    failures = make(tiny, store)
    assert [one.what for one in failures] == ["mlp-small fashion-mnist-mini@200,100 half s1"] * 2  # and its reading
    assert all("it is wrong" in str(one.error) for one in failures)
    assert len(place.asked) == 15
    place._failing = ""
    place.asked.clear()
    assert make(tiny, store) == []
    assert len(place.asked) == 2


def test_a_bug_ends_the_run_and_keeps_what_is_made(tiny: Matrix, store: StudyStore, place: Fake) -> None:
    place._bug = "control s0"
    with pytest.raises(ZeroDivisionError):
        make(tiny, store)
    assert place.closed == [True]
    made = len(place.asked) - 1
    place._bug = ""
    place.asked.clear()
    make(tiny, store)
    assert len(place.asked) == 16 - made


def test_a_place_that_is_gone_ends_the_run_with_what_to_do(tiny: Matrix, store: StudyStore, place: Fake) -> None:
    def gone(*_: object) -> Future[places.Files]:
        lost: Future[places.Files] = Future()
        lost.set_exception(BrokenExecutor("killed\nat work"))
        return lost

    place.submit = gone  # type: ignore[method-assign]
    with pytest.raises(
        UserError, match=r"--on local: the processes that make the steps have ended \(killed\). Run the same command"
    ):
        make(tiny, store)
    assert place.closed == [True]


# ------------------------------------------------------------------ what is in the folders


def test_half_a_step_is_no_step(tiny: Matrix, store: StudyStore, place: Fake) -> None:
    """Of a kill while it was written, of files that were deleted, of a folder that only has its name."""
    (step, *_) = steps_of(tiny, "train", "s0")
    partial = store.path(step).with_name(f".{step.folder}.7-1.part")
    partial.mkdir()
    (partial / NETWORK).write_bytes(b"half")
    store.path(step).mkdir()
    (store.path(step) / NETWORK).write_bytes(b"half")
    assert not store.has(step)
    assert make(tiny, store) == []
    assert store.has(step)
    with store.one_run_at_a_time():
        assert not partial.exists()
    for gone in (NETWORK, "step.json"):
        (store.path(step) / gone).unlink()
        assert not store.has(step)
        assert make(tiny, store) == []
        assert store.has(step)


@pytest.mark.parametrize("what", ["damaged", "another model", "another seed", "another data set", "no checkpoint"])
def test_a_network_that_is_not_the_steps_is_made_again_and_all_that_comes_from_it(
    what: str, tiny: Matrix, store: StudyStore, place: Fake, tmp_path: Path
) -> None:
    make(tiny, store)
    place.asked.clear()
    step = next(one for one in steps_of(tiny, "train", "s0") if not one.pruning)
    path = store.path(step) / NETWORK
    whole = path.read_bytes()
    about = checkpoint.load(path).about
    if what == "damaged":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif what == "no checkpoint":
        path.write_bytes(b"words")
    else:
        model = "mlp-medium" if what == "another model" else about.model
        dataset = "mnist" if what == "another data set" else about.dataset
        (run,) = about.training
        other = type(run)({}, 1 if what == "another seed" else 0, "")
        checkpoint.save(torch.nn.Linear(1, 1), metadata(model, dataset=dataset, training=(other,)), path)
    said = Lines()
    assert make(tiny, store, said) == []
    # dense, its reading, and the change and the reading of control and half; nothing of `before` and of the other seed
    assert len(place.asked) == 6
    assert all(line.endswith(" s0") for line in place.asked)
    assert sum("is damaged, or its inputs have changed" in line for line in said.lines) == 6
    assert len(intact.digests(tiny, store)) == 16


def test_a_reading_of_another_network_is_read_again(tiny: Matrix, store: StudyStore, place: Fake) -> None:
    make(tiny, store)
    place.asked.clear()
    first, second = steps_of(tiny, "read", "dense")
    shutil.copyfile(store.path(first) / "evaluation.json", store.path(second) / "evaluation.json")
    make(tiny, store)
    assert place.asked == [f"read {second.label}"]


@pytest.mark.parametrize("name", ["evaluation.json", "sparsity.json", "packed.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[7]", b"[" * 100_000, b'"\xff"'])
def test_a_damaged_reading_is_read_again(
    name: str, content: bytes, tiny: Matrix, store: StudyStore, place: Fake
) -> None:
    make(tiny, store)
    place.asked.clear()
    step = steps_of(tiny, "read", "dense")[0]
    (store.path(step) / name).write_bytes(content)
    assert make(tiny, store) == []
    assert place.asked == [f"read {step.label}"]


def test_a_folder_that_cannot_be_written_is_told(tiny: Matrix, store: StudyStore, place: Fake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/x/steps: cannot be written"):
        StudyStore(tmp_path / "file" / "x")
    (step, *_) = tiny.steps.values()
    shutil.rmtree(store.folder)
    with pytest.raises(
        UserError, match=f"{step.folder}: it cannot be written .*Fix that and run the same command again"
    ):
        make(tiny, store)


def test_two_runs_of_one_study_do_not_mix(store: StudyStore) -> None:
    refused = pytest.raises(UserError, match="another run of this study is using it")
    with store.one_run_at_a_time(), refused, store.one_run_at_a_time():
        pass
    with store.one_run_at_a_time():
        pass


# ------------------------------------------------------------------ places


def test_places_are_told_apart() -> None:
    with pytest.raises(UnknownName, match="place.*there is no 'rai'.*Did you mean 'ray'"):
        places.open_place("rai://head:10001", 1)
    with pytest.raises(UserError, match="takes no address"):
        places.open_place("local://there", 1)


@pytest.fixture(scope="module")
def workers() -> Iterator[local.LocalWorkers]:
    """One process, which imports torch once."""
    place = local.LocalWorkers(1)
    yield place
    place.close(now=False)


@pytest.fixture
def training(tmp_path: Path) -> StudyStep:
    return next(iter(expand(write(tmp_path / "s.yaml", minimal())).steps.values()))


def test_ctrl_c_does_not_reach_workers(workers: local.LocalWorkers, training: StudyStep, tmp_path: Path) -> None:
    """It goes to every process of the terminal, and the first step that is asked for starts the worker."""
    made = workers.submit(training, [], tmp_path / "scratch", Silent())
    (worker,) = workers._pool._processes
    os.kill(worker, signal.SIGINT)
    assert NETWORK in made.result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_step_that_fails_in_a_worker_says_why(
    workers: local.LocalWorkers, training: StudyStep, tmp_path: Path
) -> None:
    """The error has more arguments than pickle carries; and the worker goes on."""
    failed = workers.submit(training, [b"no checkpoint"], tmp_path / "failing", Silent())
    with pytest.raises(UserError, match="it is not a safetensors file") as told:
        failed.result()
    assert told.value.remedy.startswith("Make it again")
    assert NETWORK in workers.submit(training, [], tmp_path / "scratch", Silent()).result()


def test_a_killed_worker_is_told_as_a_place_that_is_gone(training: StudyStep, tmp_path: Path) -> None:
    place = local.LocalWorkers(1)
    made = place.submit(training, [], tmp_path / "scratch", Silent())
    (worker,) = place._pool._processes
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        made.result()
    place.close(now=True)


PARENT = """
import os, pathlib, sys, time
from edgebench.progress import Silent
from edgebench.studies.study.places import local
if __name__ == "__main__":
    place = local.LocalWorkers(1)
    place._pool.submit(os.getpid).result()
    print(*place._pool._processes, flush=True)
    time.sleep(60)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 30
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(worker)


def is_running(pid: int) -> bool:
    """A zombie, whose parent has not looked yet, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
