"""Steps made on a Ray cluster: what is told where there is none, and real ones on this machine."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgebench import __version__
from edgebench.errors import MissingPackage, UserError
from edgebench.progress import Silent
from edgebench.studies import study
from edgebench.studies.study import places
from edgebench.studies.study.places import RemoteUserError
from tests.conftest import run_cli
from tests.support.studies import expand, minimal, networks, write
from tests.support.studies import without_pictures as without_pictures

pytest.importorskip("torch")

real_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra 'ray'")


# ------------------------------------------------------------------ with a stand-in for the library


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class FakeRay:
    """A cluster that answers each task with `answer`, or raises it."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.answer: object = __version__
        self.no_cluster: Exception | None = None
        self.resources = {"CPU": 3.0}
        self.is_open = False

    def init(self, address: str | None, **_: object) -> None:
        if self.no_cluster:
            raise self.no_cluster
        self.is_open = True

    def shutdown(self) -> None:
        self.is_open = False

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def remote(self, *given: Any, **_: object) -> Any:
        if not given:
            return self.remote
        return SimpleNamespace(remote=lambda *_: SimpleNamespace(future=self._future))

    def get(self, asked: Any) -> object:
        return asked.future().result()

    def _future(self) -> Future[object]:
        made: Future[object] = Future()
        if isinstance(self.answer, Exception):
            made.set_exception(self.answer)
        else:
            made.set_result(self.answer)
        return made


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    return fake


@pytest.fixture
def ask(ray: FakeRay, tmp_path: Path) -> Callable[[object], Future[places.Files]]:
    """Ask a cluster for a step, which it answers so."""
    place = places.open_place("ray://head:10001", 1)
    step = next(iter(expand(write(tmp_path / "s.yaml", minimal())).steps.values()))

    def answered(answer: object) -> Future[places.Files]:
        ray.answer = answer
        return place.submit(step, [], tmp_path, Silent())

    return answered


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackage, match=r"the package 'ray' is not installed. pip install 'edgebench\[ray\]'"):
        places.open_place("ray://head:10001", 1)


@pytest.mark.parametrize(
    "error", [ConnectionError("ray client connection timeout\nmore"), ValueError("x"), RuntimeError("x")]
)
def test_no_cluster_at_the_address(ray: FakeRay, error: Exception) -> None:
    ray.no_cluster = error
    told = (
        "--on ray://head:1: no Ray cluster answers .(ray client connection timeout more|x).. "
        "Start one with `GRPC_ENABLE_FORK_SUPPORT=0 ray start"
    )
    with pytest.raises(UserError, match=told):
        places.open_place("ray://head:1", 1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("0.0.1", f"the cluster has edgebench 0.0.1, this is {__version__}. Install the same version everywhere"),
        (RayTaskError("No module named 'edgebench'"), "the cluster cannot run edgebench. Install edgebench.train."),
    ],
)
def test_a_cluster_that_has_another_edgebench_or_none(ray: FakeRay, answer: object, told: str) -> None:
    ray.answer = answer
    with pytest.raises(UserError, match=told):
        places.open_place("ray://head:10001", 1)
    assert not ray.is_open


@pytest.mark.parametrize(
    ("resources", "jobs"), [({"CPU": 3.0}, 3), ({"CPU": 64.0, "GPU": 2.0}, 2), ({}, 1), ({"CPU": 0.0}, 1)]
)
def test_a_cluster_makes_as_many_steps_at_once_as_it_has_processors(
    ray: FakeRay, resources: dict[str, float], jobs: int
) -> None:
    ray.resources = resources
    assert places.open_place("ray://", 1).jobs == jobs


def test_what_a_cluster_answers(ask: Callable[[object], Future[places.Files]]) -> None:
    assert ask({"file": b"x"}).result() == {"file": b"x"}
    with pytest.raises(UserError, match="there: it is wrong. Mend it"):
        ask(RemoteUserError("there", "it is wrong", "Mend it")).result()
    with pytest.raises(RayTaskError):  # a bug in a step
        ask(RayTaskError("ZeroDivisionError")).result()
    for lost in (RayError("node died"), ConnectionError("reset")):
        with pytest.raises(BrokenExecutor, match=str(lost)):
            ask(lost).result()


# ------------------------------------------------------------------ with real ones


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters of this test take steps from it alone, and Ray keeps no token in the user's home."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))


@pytest.fixture
def head(guarded: None) -> Iterator[str]:
    """The address of a cluster of one machine, in processes of its own, started as `START_A_HEAD` tells."""
    client = free_port()
    options = [f"--port={free_port()}", f"--ray-client-server-port={client}", "--num-cpus=2", "--num-gpus=0"]
    # Not pytest's folder: Ray's sockets are in here, and the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        command = ["start", "--head", "--block", "--include-dashboard=false", f"--temp-dir={folder}", *options]
        with subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *command],
            env=os.environ | {"GRPC_ENABLE_FORK_SUPPORT": "0"}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as started:  # fmt: skip
            try:
                assert started.stdout is not None
                said = []
                for line in started.stdout:
                    said.append(line)
                    if "--block" in line:
                        break
                assert started.poll() is None, "".join(said)
                yield f"ray://127.0.0.1:{client}"
            finally:
                started.terminate()
                try:
                    started.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    os.killpg(started.pid, signal.SIGKILL)


def makes_the_same(on: str, folder: Path, seeds: int) -> None:
    """Of each seed a training, one that goes on from it, and two readings."""
    path = write(folder / "s.yaml", minimal(seeds=seeds, variants={"dense": {}, "control": {"after": [{"epochs": 1}]}}))
    arguments = ("study", "run", path, "--no-measure", "--on", on, "--results", folder / "there")
    ended = run_cli(*arguments, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    study.run(path, folder=folder / "here")
    assert networks(folder / "there") == networks(folder / "here")
    again = run_cli(*arguments, cwd=folder)
    assert again.returncode == 0 and f"{4 * seeds} steps, {4 * seeds} of them already done" in again.stdout


@real_ray
@pytest.mark.slow
@pytest.mark.usefixtures("guarded", "one_thread", "without_pictures")
def test_a_cluster_for_the_run_makes_the_same_networks(tmp_path: Path) -> None:
    makes_the_same("ray://", tmp_path, seeds=2)


@real_ray
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("grpc") is None, reason="needs ray's extra 'client'")
@pytest.mark.usefixtures("one_thread", "without_pictures")
def test_a_head_that_is_there_makes_the_same_networks(tmp_path: Path, head: str) -> None:
    makes_the_same(head, tmp_path, seeds=1)
