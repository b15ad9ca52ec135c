"""The agent seen from the host: bring it over, talk to it. PROTOCOL.md says what is said."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from device_agents.python import PROTOCOL
from edgebench.agent_file import build_zipapp
from edgebench.errors import AgentError, LinkLost
from edgebench.facts import Facts
from edgebench.progress import Progress, Silent
from edgebench.transports import EXIT_NO_AGENT, EXIT_NO_PYTHON, OwnAgent, Session, Transport
from edgebench.transports.ssh import remote_path


class RuntimeOnDevice(msgspec.Struct, frozen=True):
    """What a probe found: the runtime in `folder` ("" is the device's own), or the problem."""

    folder: str = ""
    facts: dict[str, str] = {}
    problem: str = ""


class Tail(msgspec.Struct, frozen=True):
    """Why the agent stopped sending lines. died: the job's process is gone without a last line."""

    tail: Literal["ended", "died", "interrupted"]
    stderr: list[str] = []


class Clock(msgspec.Struct, frozen=True):
    """When a question arrived there and when its answer left, on the device's monotonic clock."""

    received_ns: int
    sent_ns: int


_T = TypeVar("_T")


class Agent:
    """One connection to an agent; close() it.

    Raises Unreachable and AgentError when it starts, LinkLost whenever the connection ends unasked.
    """

    def __init__(self, transport: Transport | OwnAgent, where: str, progress: Progress | None = None) -> None:
        self.where = where
        self._transport = transport
        self._noise = b""
        self._interruptions = 0
        self._process: subprocess.Popen[bytes] | Session | None = None
        try:
            transport.connect(progress or Silent())
            if isinstance(transport, OwnAgent):
                self.sha256 = transport.sha256
                self._process = transport.session()
                hello = self._first_line()
            else:
                hello = self._sent(transport)
            self._check_hello(hello)
        except BaseException:
            self.close()
            raise

    def _sent(self, transport: Transport) -> dict[str, Any] | None:
        """Start the zipapp there, brought over if it is missing; its hello, or None."""
        zipapp = build_zipapp()
        self.sha256 = hashlib.sha256(zipapp).hexdigest()
        self._path = f"{transport.workdir}/agent-{self.sha256[:16]}.pyz"
        hello = self._start(transport)
        if hello is None and self._exit_code() == EXIT_NO_AGENT:
            self._hang_up()
            self._bring(transport, zipapp)
            hello = self._start(transport)
        return hello

    def close(self) -> None:
        self._hang_up()
        self._transport.close()

    def facts(self) -> Facts:
        return self._convert(self._ask({"do": "facts"}), Facts)

    def runtimes(self, names: Sequence[str], options: Mapping[str, Any]) -> dict[str, RuntimeOnDevice]:
        answer = self._ask({"do": "runtimes", "names": list(names), "options": dict(options)})
        return self._convert(answer, dict[str, RuntimeOnDevice])

    def install(self, name: str, wheels: Sequence[str]) -> None:
        self._ask({"do": "install", "name": name, "wheels": list(wheels)})

    def missing(self, files: Mapping[str, Path]) -> list[str]:
        """Which of {sha256: path} the device does not have."""
        sizes = {sha256: path.stat().st_size for sha256, path in files.items()}
        return self._convert(self._ask({"do": "missing", "blobs": sizes}), list[str])

    def send(self, files: Sequence[tuple[str, Path]]) -> None:
        """Send the content of (sha256, path) pairs; the agent checks each."""
        if not files:
            return
        self._write({"do": "receive", "blobs": [(sha256, path.stat().st_size) for sha256, path in files]})
        try:
            for _, path in files:
                with path.open("rb") as stream:
                    while piece := stream.read(1 << 20):
                        self._stdin().write(piece)
            self._stdin().flush()
        except ConnectionError:
            raise self._link_lost() from None
        self._answer()

    def start(self, job: Mapping[str, Any]) -> bool:
        """Start a job; False if the device has it already, running or ended."""
        return bool(self._ask({"do": "start", "job": dict(job)})["started"])

    def tail(self, job: str, line: int) -> Iterator[bytes | Tail]:
        """Every journal line from number `line` on as it is written, then one Tail."""
        self._write({"do": "tail", "job": job, "line": line})
        while True:
            text = self._read_line()
            if text.startswith(b'{"n":'):
                yield text
                continue
            ending = self._convert(self._unwrap(text), Tail)
            for _ in range(self._interruptions):
                self._answer()
            self._interruptions = 0
            yield ending
            return

    def interrupt(self) -> None:
        """End the present `tail`, which still gives the lines that are on their way: to ask something in between."""
        self._write({"do": "clock"})
        self._interruptions += 1

    def clock(self) -> Clock:
        return self._convert(self._ask({"do": "clock"}), Clock)

    def enough(self, job: str) -> None:
        """No more energy windows for the meter here."""
        self._ask({"do": "enough", "job": job})

    def stop(self, job: str) -> None:
        """Ask a job to end after its present round."""
        self._ask({"do": "stop", "job": job})

    def forget(self, job: str) -> None:
        """Remove a finished job's files."""
        self._ask({"do": "forget", "job": job})

    # ------------------------------------------------------------------ connection

    def _start(self, transport: Transport) -> dict[str, Any] | None:
        """Start a session; its hello, or None if it ended without one."""
        agent, python = remote_path(self._path), remote_path(transport.python)
        self._process = transport.run(
            f"[ -f {agent} ] || exit {EXIT_NO_AGENT}; command -v {python} >/dev/null || exit {EXIT_NO_PYTHON}; "
            f"exec {python} -I {agent} session {remote_path(transport.workdir)}"
        )
        return self._first_line()

    def _bring(self, transport: Transport, zipapp: bytes) -> None:
        source = Path(os.environ.get("TMPDIR", "/tmp")) / f"edgebench-agent-{os.getpid()}.pyz"
        source.write_bytes(zipapp)
        try:
            transport.put(source, self._path)
        finally:
            source.unlink()

    def _first_line(self) -> dict[str, Any] | None:
        """What a login script prints before the hello is noise, and shown if no hello comes."""
        for line in self._stdout():
            if line.startswith(b'{"hello":'):
                hello: dict[str, Any] = json.loads(line)
                return hello
            self._noise = (self._noise + line)[-2000:]
        return None

    def _check_hello(self, hello: dict[str, Any] | None) -> None:
        python = getattr(self._transport, "python", "")
        if hello is None:
            if self._exit_code() == EXIT_NO_PYTHON:
                raise AgentError(self.where, f"there is no '{python}'", "Install it (apt: python3), or set `python`")
            raise AgentError(self.where, f"the agent did not start: {self._last_words()}", f"Try: {python} --version")
        if hello["hello"] == 0:
            raise AgentError(
                self.where, f"'{python}' is {hello['python']}", "The agent needs Python >= 3.9; set `python`"
            )
        if "error" in hello:
            raise AgentError(self.where, hello["error"], "Free space there, or set `workdir` in targets.yaml")
        if hello["hello"] != PROTOCOL:
            raise AgentError(self.where, f"it speaks protocol {hello['hello']}, not {PROTOCOL}", "Report this as a bug")

    def _exit_code(self) -> int:
        assert self._process is not None
        return self._process.wait()

    def _hang_up(self) -> None:
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                with contextlib.suppress(ConnectionError):
                    stream.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    # ------------------------------------------------------------------ messages

    def _ask(self, request: Mapping[str, Any]) -> Any:
        self._write(request)
        return self._answer()

    def _answer(self) -> Any:
        return self._unwrap(self._read_line())

    def _write(self, request: Mapping[str, Any]) -> None:
        try:
            self._stdin().write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            self._stdin().flush()
        except ConnectionError:
            raise self._link_lost() from None

    def _read_line(self) -> bytes:
        try:
            line = self._stdout().readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._link_lost()
        return line[:-1]

    def _unwrap(self, line: bytes) -> Any:
        try:
            answer = json.loads(line)
        except ValueError:
            raise AgentError(self.where, f"an answer that is no JSON: {line[:200]!r}", "Report this as a bug") from None
        if isinstance(answer, dict) and "ok" in answer:
            return answer["ok"]
        said = answer.get("error", answer) if isinstance(answer, dict) else answer
        raise AgentError(self.where, f"the agent says: {said}", "See its files in the `workdir` of the target")

    def _convert(self, answer: Any, type_: type[_T]) -> _T:
        try:
            return msgspec.convert(answer, type_)
        except msgspec.ValidationError as error:
            raise AgentError(self.where, f"an answer that does not fit ({error})", "Report this as a bug") from error

    def _link_lost(self) -> LinkLost:
        return LinkLost(
            self.where, f"the connection ended: {self._last_words()}", "The job goes on there; deploy again"
        )

    def _last_words(self) -> str:
        code = self._exit_code()
        stderr = self._process.stderr if self._process else None
        said = (self._noise + (stderr.read() if stderr else b"")).decode(errors="replace").strip()
        return said.splitlines()[-1] if said else f"exit code {code}"

    def _stdin(self) -> io.BufferedWriter:
        assert self._process is not None and self._process.stdin is not None
        return self._process.stdin  # type: ignore[return-value]

    def _stdout(self) -> io.BufferedReader:
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout  # type: ignore[return-value]
