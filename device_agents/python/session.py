"""Answers one host, for as long as the connection lasts. Everything that must outlive it is on disk."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import PROTOCOL, load, lock, probe, state
from .channel import Channel, Closed
from .device import MACHINE, lasting_facts
from .heartbeat import ALIVE_S, Heartbeat
from .process import own_path
from .store import RequestRefused, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader
    from typing import Any

# The journal is polled after this share of the time that it has been followed for, within these limits: each poll costs
# the device that is measured.
POLL_SHARE = 0.1
POLL_MIN_S, POLL_MAX_S = 0.25, 2.0
# What a handler returns that has answered by itself.
ANSWERED = object()


def main(arguments: list[str]) -> None:
    """arguments: the folder that the agent may use."""
    channel = Channel.stdio()
    root = Path(arguments[0]).expanduser().absolute()
    try:
        store = Store(root)
        store.tidy()
    except OSError as error:
        channel.send({"hello": PROTOCOL, "error": "cannot write to %s: %s" % (root, error.strerror)})
        return
    session = AgentSession(channel, store)
    known = {"python": platform.python_version(), "pid": os.getpid(), "root": str(root), "boot": state.boot_id()}
    channel.send({"hello": PROTOCOL, **known})
    try:
        while True:
            try:
                request = channel.receive()
            except (ValueError, RecursionError) as error:
                channel.send({"error": "%s: %s" % (type(error).__name__, str(error)[:200])})
            else:
                session.answer(request)
    except Closed:
        pass


class AgentSession:
    def __init__(self, channel: Channel, store: Store) -> None:
        self._channel = channel
        self._store = store
        self._sending = threading.Lock()
        self._facts: dict[str, Any] = {}

    def answer(self, request: Any) -> None:
        try:
            if not isinstance(request, dict):
                raise ValueError("a request is an object")
            does = str(request.pop("do", ""))
            handler = getattr(self, "do_" + does, None)
            if handler is None:
                raise ValueError("unknown request")
            with Heartbeat(self._send, does) as self._heartbeat:
                answer = handler(**request)
            if answer is not ANSWERED:
                self._send({"ok": answer})
        except RequestRefused as error:
            self._send({"error": str(error), "remedy": error.remedy})
        except Closed:
            raise
        except Exception as error:  # whatever a request makes of this, the next one is answered
            self._send({"error": "%s: %s" % (type(error).__name__, str(error)[:2000])})

    def _send(self, message: dict[str, Any]) -> None:
        with self._sending:
            self._channel.send(message)

    def do_facts(self) -> dict[str, Any]:
        """A job that this session starts begins with the lasting ones: finding them out opens every meter."""
        self._facts = self._facts or lasting_facts(MACHINE)
        return {**self._facts, **MACHINE.momentary_facts()}

    def do_runtimes(self, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
        """For each runtime: where it is and what it can do, tried with a real model in a process of its own."""
        pids = [os.getpid()]
        begun_s = load.own_seconds(pids)
        self._heartbeat.watch(lambda: 1000 * (load.own_seconds(pids) - begun_s))
        with ThreadPoolExecutor() as pool:  # each waits for a process of its own
            return dict(zip(names, pool.map(lambda name: probe.look(self._store, name, options, pids), names)))

    def do_install(self, name: str, wheels: list[str]) -> dict[str, str]:
        return {"folder": str(self._store.install(name, wheels, self._heartbeat.did))}

    def do_missing(self, blobs: dict[str, int]) -> list[str]:
        return self._store.missing(blobs, self._heartbeat.did)

    def do_receive(self, sha256: str, size: int) -> Any:
        """Then its bytes from {"have"} on follow in frames; a disk that fills up is reported at once."""
        self._send({"ok": {"have": self._store.begin(sha256, size)}})
        refused = None
        with self._store.partial(sha256) as stream:
            for piece in self._channel.frames():
                if refused:
                    continue  # dropped: they are on their way already
                try:
                    self._store.write(stream, piece)
                    self._heartbeat.did(len(piece))
                except RequestRefused as error:
                    refused = error
                    self._send({"error": str(error), "remedy": error.remedy})
        return ANSWERED if refused else {"whole": self._store.finish(sha256, self._heartbeat.did)}

    def do_busy(self) -> dict[str, Any] | None:
        """Who measures on this device; None if nobody does."""
        return lock.holder()

    def do_start(self, job: dict[str, Any]) -> dict[str, Any]:
        """Start the job in a session of its own, so that it outlives this connection. Once per job id."""
        if self._store.job_folder(job["id"]).exists():
            return {"started": False}
        self._store.need(0)
        held = None
        if lock.is_needed(job):
            held, holder = lock.take(job)
            if held is None:
                return {"started": False, "busy": holder}
        try:
            return {"started": self._launch(job, held)}
        finally:
            if held is not None:
                os.close(held)  # it is the job's now

    def _launch(self, job: dict[str, Any], held: int | None) -> bool:
        if not self._store.create_job(job, self._facts):
            return False
        folder = self._store.job_folder(job["id"])
        with (folder / "stderr.txt").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, *own_path(), "job", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                pass_fds=() if held is None else (held,),
            )
        (folder / "pid").write_text(state.describe(process.pid))
        return True

    def do_tail(self, job: str, line: int) -> dict[str, Any]:
        """Send every journal line from number `line` on, until the job ends or the host sends something.

        The lines are sent verbatim; the answer that follows them says how it ended:
        ended, died (no process, no last line), or interrupted.
        """
        folder = self._store.job_folder(job)
        if not folder.is_dir():
            raise ValueError("no such job")
        started_s = said_s = time.monotonic()
        new = b""
        with _JournalReader(folder / "journal.jsonl", line) as reader:
            while True:
                # Checked before reading, so that whatever a job wrote before it died is read.
                alive = bool(new) or _alive(folder)
                new = reader.new_lines()
                self._channel.send_bytes(new)
                if reader.ended:
                    _wait_for_end(folder)
                    return {"tail": "ended"}
                if not alive and not new:
                    why = state.why_ended(folder, self._store.free_bytes())
                    return {"tail": "died", "reason": why, "stderr": _last_lines(folder / "stderr.txt")}
                now_s = time.monotonic()
                if new:
                    said_s = now_s
                elif now_s - said_s >= ALIVE_S:
                    said_s = now_s
                    self._send({"alive": {"stopped": state.stopped(_pid(folder))}})
                followed_s = now_s - started_s
                if self._channel.waiting(min(max(POLL_SHARE * followed_s, POLL_MIN_S), POLL_MAX_S)):
                    return {"tail": "interrupted"}

    def do_stop(self, job: str) -> None:
        """Ask a job to end after its current round."""
        pid = _pid(self._store.job_folder(job))
        if pid and _alive(self._store.job_folder(job)):
            os.kill(pid, signal.SIGTERM)

    def do_enough(self, job: str) -> None:
        """The host's meter has measured a job's energy precisely enough: it needs no more windows."""
        (self._store.job_folder(job) / "enough").touch()

    def do_clock(self) -> dict[str, int]:
        """When this request was read and when it was answered, on the clock of windows and journal."""
        received_ns = time.monotonic_ns()
        return {"received_ns": received_ns, "sent_ns": time.monotonic_ns()}

    def do_forget(self, job: str) -> None:
        """Remove a job's files once the host has them."""
        folder = self._store.job_folder(job)
        if _alive(folder):
            raise ValueError("job %s is still running" % job)
        shutil.rmtree(folder, ignore_errors=True)

    def _running_job(self) -> str | None:
        for folder in sorted((self._store.root / "jobs").iterdir()):
            if _alive(folder):
                return folder.name
        return None


class _JournalReader:
    """The complete lines of a growing file, each once, without the first `skip`."""

    def __init__(self, path: Path, skip: int) -> None:
        self._path = path
        self._skip = skip
        self._stream: BufferedReader | None = None
        self._rest = b""
        self.ended = False

    def __enter__(self) -> _JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()

    def new_lines(self) -> bytes:
        """Verbatim; b"" if there are none."""
        if self._stream is None:
            if not self._path.exists():
                return b""
            self._stream = self._path.open("rb")
        data = self._rest + self._stream.read()
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        last = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
        self.ended = b'"event":"end"' in data[last:end][:200]
        start = 0
        while self._skip and start < end:
            start = data.find(b"\n", start) + 1
            self._skip -= 1
        return data[start:end]


def _pid(folder: Path) -> int | None:
    try:
        return int((folder / "pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _alive(folder: Path) -> bool:
    """Whether the job's process is running: same pid, start time and boot; a reused pid does not count."""
    try:
        pid, started, *boot = (folder / "pid").read_text().split()
    except (OSError, ValueError):
        return False
    return state.start_time(pid) == started and (not boot or boot[0] in ("-", state.boot_id()))


def _wait_for_end(folder: Path) -> None:
    """The last line is written before the process is gone; whoever reads it may want to start the next job."""
    give_up = time.monotonic() + 5
    while _alive(folder) and time.monotonic() < give_up:
        time.sleep(0.02)


def _last_lines(path: Path, count: int = 5) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []
