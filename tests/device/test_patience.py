"""The host waits as long as the agent makes progress; both count the same work."""

from __future__ import annotations

import json
import socket
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import heartbeat
from device_agents.python.channel import Channel
from device_agents.python.session import AgentSession
from device_agents.python.store import Store
from edgebench.device import patience
from edgebench.device.answers import Alive
from edgebench.device.patience import Patience
from edgebench.device.wire import Unfit
from tests.conftest import sha256


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "agent")


def put(store: Store, data: bytes) -> str:
    store.blob(sha256(data)).write_bytes(data)
    return sha256(data)


def ask(store: Store, monkeypatch: pytest.MonkeyPatch, raw: bytes = b"", **request: Any) -> tuple[Any, list[int]]:
    """The last answer to a request, and the progress in the signs of life, of which the last is complete."""
    monkeypatch.setattr(heartbeat, "ALIVE_S", 0.01)
    here, there = socket.socketpair()
    with here, there:
        here.sendall(raw)
        session = AgentSession(Channel(there.fileno(), there.fileno()), store)
        session.answer(request)
        session._heartbeat._say()
        there.shutdown(socket.SHUT_WR)
        said = [json.loads(line) for line in here.makefile("rb")]
    return [one for one in said if "alive" not in one][-1], [one["alive"]["did"] for one in said if "alive" in one]


# ------------------------------------------------------------------ what the agent says


def test_what_is_hashed_is_what_was_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = {put(store, data): len(data) for data in (bytes(3 << 20), b"weights")}
    answer, did = ask(store, monkeypatch, do="missing", blobs={**blobs, "0" * 64: 9})
    assert answer == {"ok": ["0" * 64]}
    assert did == sorted(did) and did[-1] == patience.hashing(sum(blobs.values())).units


def test_what_is_unpacked_is_what_was_asked_for(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runtime.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("package/large.so", bytes(1 << 20))
        wheel.writestr("package/__init__.py", "x = 1")
    answer, did = ask(store, monkeypatch, do="install", name="demo", wheels=[put(store, path.read_bytes())])
    assert (Path(answer["ok"]["folder"]) / "package/large.so").stat().st_size == 1 << 20
    assert did == sorted(did) and did[-1] == patience.unpacking([path]).units


def test_what_arrives_is_what_was_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(50_000)
    frames = b'{"bytes":%d}\n' % len(data) + data + b'{"bytes":0}\n'
    answer, did = ask(store, monkeypatch, frames, do="receive", sha256=sha256(data), size=len(data))
    assert answer == {"ok": {"whole": True}}
    assert did == sorted(did) and did[-1] == patience.receiving(len(data)).units


def test_looking_for_a_runtime_is_seen_by_its_processor_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"threads": 1, "device": "cpu", "cpus": []}
    answer, did = ask(store, monkeypatch, do="runtimes", names=["onnxruntime"], options=options)
    assert answer["ok"]["onnxruntime"]["folder"] == ""
    assert did == sorted(did) and 0 < did[-1] < patience.looking(1).units


def test_how_much_is_done_never_falls() -> None:
    said: list[Any] = []
    beating = heartbeat.Heartbeat(said.append, "runtimes")
    for seen in (7.9, 3, 8):
        beating.watch(lambda seen=seen: seen)
        beating._say()
    assert [one["alive"] for one in said] == [{"doing": "runtimes", "did": did} for did in (7, 7, 8)]


# ------------------------------------------------------------------ how long the host waits


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(time, "monotonic", stopped)
    return stopped


@pytest.mark.parametrize("times", [1, 12])
def test_what_gets_on_is_waited_for_and_what_does_not_is_not(clock: Clock, times: int) -> None:
    """times: of an emulated board."""
    waiting = Patience(patience.hashing(50_000_000), times)
    for did in range(1, 11):
        clock.now_s += 24 * times
        waiting.hears(Alive(did=did * 5_000_000), clock.now_s - 100)
    clock.now_s += 24 * times
    waiting.hears(Alive(did=50_000_000))
    clock.now_s += 2 * times
    with pytest.raises(Unfit, match="without progress"):
        waiting.hears(Alive(did=50_000_000))


def test_a_request_takes_no_longer_than_its_work_can_take(clock: Clock) -> None:
    waiting = Patience(patience.hashing(2_000_000), 1)
    for did in range(35):
        clock.now_s += 1
        waiting.hears(Alive(did=did), clock.now_s - 100)
    with pytest.raises(Unfit, match="for 36 s, 0% done"):
        waiting.hears(Alive(did=35), 36.0)


def test_a_link_that_is_slow_to_take_what_is_sent_is_no_standstill(clock: Clock) -> None:
    waiting = Patience(patience.receiving(1_000), 1)
    for _ in range(9):
        clock.now_s += 24
        waiting.goes_on()
        waiting.hears(Alive(did=0))
