"""What goes wrong on the way to a board, and on it: through a real sshd, with a proxy that cuts, stalls and counts.

A fault is a row; each row says what has to come of it. What happens twice is an own test below the table.
"""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device_agents.python.runtimes import onnxruntime
from edgebench import deploy
from edgebench.device import agent, arrival, connection, patience, wire
from edgebench.device.connection import Connection
from edgebench.device.transports import ssh
from edgebench.errors import TargetError
from edgebench.progress import Silent
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from tests.conftest import sha256
from tests.support.faults import board as boards
from tests.support.faults.board import Board
from tests.support.faults.proxy import Fault

MODEL_BYTES = 6 << 20


class Heard(Silent):
    """A progress that keeps its lines and their times."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-outs, shortened; the messages are the same."""
    for where, name, seconds in (
        (wire, "SILENCE_SAID_S", 0.5), (wire, "SILENCE_MAX_S", 3.0),
        (wire, "JOURNAL_SILENCE_MAX_S", 8.0), (arrival, "HELLO_MAX_S", 6.0),
        (connection, "RECONNECT_PAUSE_S", 0.1), (connection, "WAIT_POLL_S", 0.2), (ssh, "PUT_S", 3.0),
        (ssh, "PUT_BYTES_PER_S", 1e6), (patience, "STOPPED_MAX_S", 1.0), (ssh, "LOGIN_S", 6.0),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, seconds)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    started = boards.start(tmp_path / "board")
    yield started
    started.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """relu with a text of megabytes that cannot be compressed: something to send."""
    text = base64.b64encode(os.urandom(MODEL_BYTES * 3 // 4))
    path = tmp_path / "relu.onnx"
    path.write_bytes(base64.b64decode(onnxruntime.TINY_MODEL) + b"\x32" + _varint(len(text)) + text)
    return path


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def measure(board: Board, what: Path, plan: Plan, heard: Heard | None = None, **options: bool) -> Record:
    results = board.workdir.parent / "results"
    (one,) = deploy.deploy(
        board.target, deploy.artifacts_at([what]), plan, results, progress=heard or Heard(), **options
    )
    return one


def partial_bytes(board: Board) -> int:
    return sum(path.stat().st_size for path in (board.workdir / "blobs").glob("*.part"))


# ------------------------------------------------------------------ the link


@dataclass(frozen=True)
class Link:
    """A fault of the link while a model is sent. said: the message; again: bytes sent twice, at most."""

    name: str
    fault: Callable[[Board], Fault]
    said: str = ""
    again: int = 0


LINKS = (
    Link("cut", lambda board: Fault("cut", event=lambda: partial_bytes(board) > MODEL_BYTES // 2), "going on", 2 << 20),
    Link("cut-early", lambda board: Fault("cut", at_bytes=300_000), "going on", 2 << 20),
    Link("stall", lambda board: Fault("stall", event=lambda: partial_bytes(board) > MODEL_BYTES // 2), "silent",
         3 << 20),
    Link("corrupt", lambda board: Fault("corrupt", at_bytes=1_000_000), "going on", 2 << 20),
    Link("throttle", lambda board: Fault("throttle", rate=4e6)),
    Link("so slow that the agent gives signs of life", lambda board: Fault("throttle", rate=8e5)),
)  # fmt: skip


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_a_model_arrives_whole_whatever_the_link_does(board: Board, model: Path, link: Link) -> None:
    heard = Heard()
    with Connection(board.target, heard) as connected:  # the agent itself is there from now on
        board.proxy.once(link.fault(board))
        if link.name == "stall":
            threading.Thread(target=_heal_when_said, args=(board, heard), daemon=True).start()
        wanted = {sha256(model.read_bytes()): model}
        connected.send(wanted)
        assert connected.agent.missing(wanted) == []
    assert link.said.replace("going on", "resume sending") in " ".join(heard.said)
    assert board.proxy.up < MODEL_BYTES + 200_000 + link.again
    assert not list((board.workdir / "blobs").glob("*.part*"))


def _heal_when_said(board: Board, heard: Heard) -> None:
    while not any("resume sending" in line for line in heard.said):
        time.sleep(0.01)
    board.proxy.heal()


def test_a_link_cut_while_the_agent_is_sent_costs_nothing_but_that_try(
    board: Board, models: Path, tiny_plan: Plan
) -> None:
    board.proxy.once(Fault("cut", at_bytes=25_000))
    with pytest.raises(TargetError) as caught:
        measure(board, models / "relu.onnx", tiny_plan)
    assert "\n" not in str(caught.value)
    wait_until(lambda: not list(board.workdir.glob("*")))
    assert measure(board, models / "relu.onnx", tiny_plan).rounds


@pytest.mark.parametrize("damage", [b"", b"half"], ids=["empty", "other content"])
def test_a_damaged_agent_is_replaced(board: Board, models: Path, tiny_plan: Plan, damage: bytes) -> None:
    agent.Agent(connection.open_transport(board.target), "board").close()
    (path,) = board.workdir.glob("agent-*.pyz")
    whole = path.read_bytes()
    path.write_bytes(damage and whole[:-1] + b"x")
    assert measure(board, models / "relu.onnx", tiny_plan).rounds
    assert path.read_bytes() == whole


def test_a_model_that_is_damaged_on_the_board_is_brought_again(board: Board, models: Path, tiny_plan: Plan) -> None:
    measure(board, models / "relu.onnx", tiny_plan)
    (blob,) = (path for path in (board.workdir / "blobs").iterdir() if not path.is_symlink())
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"x")
    again = measure(board, models / "relu.onnx", tiny_plan)
    assert again.rounds and blob.read_bytes() == whole


def test_a_model_that_is_damaged_after_the_check_is_not_measured(
    board: Board, models: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_start = agent.Agent.start

    def damage_and_start(self: agent.Agent, job: Mapping[str, Any]) -> bool:
        (blob,) = (board.workdir / "blobs").iterdir()
        blob.write_bytes(blob.read_bytes()[:-1] + b"x")
        return real_start(self, job)

    monkeypatch.setattr(agent.Agent, "start", damage_and_start)
    one = measure(board, models / "relu.onnx", tiny_plan)
    assert (one.outcome.status, one.outcome.kind) == ("failed", "error") and not one.rounds
    assert "was damaged on this device after it had arrived" in one.outcome.reason
    monkeypatch.setattr(agent.Agent, "start", real_start)
    assert measure(board, models / "relu.onnx", tiny_plan).rounds


def test_a_link_that_is_cut_while_a_job_is_started_starts_it_once(
    board: Board, models: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = agent.Agent._write

    def write_and_cut(self: agent.Agent, request: Mapping[str, Any], *work: Any) -> None:
        real_write(self, request, *work)
        if request["do"] == "start":
            monkeypatch.setattr(agent.Agent, "_write", real_write)
            wait_until(lambda: list(board.workdir.glob("jobs/*/job.json")))
            board.proxy.cut()

    monkeypatch.setattr(agent.Agent, "_write", write_and_cut)
    heard = Heard()
    one = measure(board, models / "relu.onnx", tiny_plan, heard)
    assert one.rounds and one.outcome.status in ("complete", "budget")
    assert "onnecting" in " ".join(heard.said)  # before or after the answer that it was started


def wait_until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)


# ------------------------------------------------------------------ the disk


@pytest.fixture
def small(board: Board) -> Iterator[Board]:
    """With a disk of 12 MB."""
    if not boards.small_disk(board.workdir, "12m"):
        pytest.skip("only root may mount a small disk")
    yield board
    boards.remove_disk(board.workdir)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(1 << 16)) == 1 << 16:
                pass
        except OSError:
            pass
    return path


def test_a_disk_that_is_too_small_is_said_before_anything_is_sent(small: Board, model: Path, tiny_plan: Plan) -> None:
    agent.Agent(connection.open_transport(small.target), "board").close()
    (small.workdir / "filler").write_bytes(bytes(5 << 20))
    small.proxy.once(Fault("throttle", rate=1e9))
    with pytest.raises(TargetError, match=r"disk is full: 8\.\d MB are needed, 7\.\d MB are free at .*agent"):
        measure(small, model, tiny_plan)
    assert small.proxy.up < 100_000


def test_a_disk_that_fills_up_meanwhile_ends_the_upload_and_nothing_else(
    small: Board, model: Path, tiny_plan: Plan
) -> None:
    agent.Agent(connection.open_transport(small.target), "board").close()
    fillers: list[Path] = []
    small.proxy.once(Fault("throttle", rate=5e6))
    watcher = threading.Thread(
        target=lambda: (wait_until(lambda: partial_bytes(small) > 1 << 20), fillers.append(fill(small.workdir)))
    )
    watcher.start()
    with pytest.raises(TargetError, match=r"disk is full: no room for .* MB are free at") as caught:
        measure(small, model, tiny_plan)
    watcher.join()
    assert "Free up space there" in str(caught.value) and not list((small.workdir / "blobs").glob("*.part"))
    fillers[0].unlink()
    assert measure(small, model, tiny_plan).rounds


def test_a_disk_that_fills_up_while_measuring_is_the_reason_in_the_record(
    small: Board, models: Path, tiny_plan: Plan
) -> None:
    long = msgspec.structs.replace(tiny_plan, rounds_min=100_000, seconds_min=60.0, seconds_max=120.0)
    watcher = threading.Thread(target=lambda: (wait_until(lambda: rounds_of(small)), fill(small.workdir)))
    watcher.start()
    one = measure(small, models / "relu.onnx", long)
    watcher.join()
    assert one.outcome.status == "agent-died" and "the disk is full: " in one.outcome.reason and one.rounds


def rounds_of(board: Board) -> bool:
    return any(b'"event":"round"' in path.read_bytes() for path in board.workdir.glob("jobs/*/journal.jsonl"))


# ------------------------------------------------------------------ the job


def job_pid(board: Board) -> int:
    (path,) = board.workdir.glob("jobs/*/pid")
    return int(path.read_text().split()[0])


def test_a_board_that_was_restarted_is_said(board: Board, models: Path, tiny_plan: Plan) -> None:
    long = msgspec.structs.replace(tiny_plan, rounds_min=100_000, seconds_min=60.0, seconds_max=120.0)
    heard = Heard()

    def restart() -> None:
        wait_until(lambda: rounds_of(board))
        board.boot.write_text("second\n")
        os.kill(job_pid(board), signal.SIGKILL)
        board.proxy.cut()

    threading.Thread(target=restart, daemon=True).start()
    one = measure(board, models / "relu.onnx", long, heard)
    assert one.outcome.status == "agent-died" and "restarted while the job ran" in one.outcome.reason and one.rounds
    assert "board has been restarted" in heard.said


def test_a_stopped_worker_is_named_and_not_waited_for_for_ever(
    board: Board, models: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "JOURNAL_SILENCE_MAX_S", 20.0)
    long = msgspec.structs.replace(tiny_plan, rounds_min=100_000, seconds_min=60.0, seconds_max=120.0)
    heard = Heard()

    def stop() -> None:
        wait_until(lambda: rounds_of(board))
        pid = job_pid(board)
        (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGSTOP)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(TargetError, match=r"process \d+ has been stopped \(SIGSTOP\)"):
        measure(board, models / "relu.onnx", long, heard)
    assert any("kill -CONT" in line for line in heard.said)
    assert board.processes()
    board.close()
    wait_until(lambda: not board.processes())  # the stopped worker neither


def test_a_silent_agent_is_said_and_the_job_gone_on_with(board: Board, models: Path, tiny_plan: Plan) -> None:
    """Its session is stopped: it holds the connection and is silent."""
    long = msgspec.structs.replace(tiny_plan, rounds_min=20, seconds_min=4.0, seconds_max=6.0, precision=10.0)
    heard = Heard()

    def stop() -> None:
        wait_until(lambda: rounds_of(board))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            words = path.read_bytes().split(b"\0") if path.exists() else []
            if b"session" in words and bytes(board.workdir) in words:
                os.kill(int(path.parent.name), signal.SIGSTOP)

    threading.Thread(target=stop, daemon=True).start()
    one = measure(board, models / "relu.onnx", long, heard)
    assert one.outcome.status in ("complete", "budget")
    told = " ".join(heard.said)
    assert "silent for" in told and "reconnecting" in told


# ------------------------------------------------------------------ two users


def test_a_board_measures_for_one_at_a_time_and_says_for_whom(board: Board, models: Path, tiny_plan: Plan) -> None:
    """The second one has another folder there, as for another user."""
    long = msgspec.structs.replace(tiny_plan, rounds_min=100_000, seconds_min=4.0, seconds_max=5.0, precision=10.0)
    first: list[Record] = []
    thread = threading.Thread(target=lambda: first.append(measure(board, models / "relu.onnx", long)))
    thread.start()
    wait_until(lambda: rounds_of(board))
    other = msgspec.structs.replace(board.target, workdir=str(board.workdir.with_name("agent-2")))
    sources, results = deploy.artifacts_at([models / "relu.onnx"]), board.workdir.parent / "results-2"
    with pytest.raises(
        TargetError, match=r"busy: .+@.+ has been measuring relu-onnx for \d+ s\. Wait for its end with --wait"
    ):
        deploy.deploy(other, sources, tiny_plan, results)
    heard = Heard()
    (second,) = deploy.deploy(other, sources, tiny_plan, results, deploy.DeployOptions(wait=True), progress=heard)
    thread.join()
    assert first[0].outcome.status in ("complete", "budget") and second.rounds
    assert any("Waiting for that to end" in line for line in heard.said)
    assert first[0].rounds[-1].start_ns < second.rounds[0].start_ns


# ------------------------------------------------------------------ what stays behind


def test_nothing_is_written_outside_the_agents_folder(board: Board, relu_bundle: Path, tiny_plan: Plan) -> None:
    """Over ssh; each runtime on this machine: test_planted_answers.py."""
    deploy.deploy(board.target, deploy.artifacts_at([relu_bundle]), tiny_plan, board.workdir.parent / "results")
    home = board.workdir.parent / "home"
    assert list(home.rglob("*")) == [] and list(board.tmp.rglob("*")) == []
