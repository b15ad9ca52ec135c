"""The agent as the host sees it: requests and answers (PROTOCOL.md). arrival.py starts it on the device.

Its answers are untrusted: `wire` limits their size, the types below define their form, and each wait has a deadline.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgebench.device import patience, wire
from edgebench.device.answers import Alive, Clock, Holder, Ready, RuntimeOnDevice, Started, TailEnd, duration
from edgebench.device.arrival import RunningAgent, start_agent
from edgebench.device.journal import Allowance
from edgebench.device.patience import Patience, Watchdog, Work
from edgebench.device.transports import AgentTransport, Transport
from edgebench.device.wire import Ended, Quiet, Unfit, Wire
from edgebench.errors import AgentError, LinkLost
from edgebench.files.plain_text import plain
from edgebench.progress import Progress, Silent
from edgebench.schema.facts import Facts

# While the agent works on a long request, the user hears about it this often.
SAY_AGAIN_S = 30.0
_FRAME = 1 << 18
_ALIVE = b'{"alive":'
_NUMBER = re.compile(rb'\{"n":(\d{1,15}),')


_T = TypeVar("_T")


class DeviceBusy(AgentError):
    """The device is measuring for another user."""

    def __init__(self, where: str, holder: Holder) -> None:
        super().__init__(where, f"it is busy: {holder}", "Wait for its end with --wait, or use another board")
        self.holder = holder


class Silence(LinkLost):
    """The connection exists, but nothing arrives."""


class Agent:
    """One connection to an agent; close() it.

    Raises Unreachable or AgentError when it starts, and LinkLost whenever the connection breaks or falls silent.
    """

    def __init__(self, transport: Transport | AgentTransport, where: str, progress: Progress | None = None) -> None:
        self.where = where
        self._transport = transport
        self._progress = progress or Silent()
        self._interruptions = 0
        self._asked = "its hello"
        self._job_runs = False
        self._wire: Wire | None = None
        self._facts: Facts | None = None
        try:
            transport.connect(self._progress)
            running: RunningAgent = start_agent(transport, where, self._say_silence)
        except BaseException:  # whatever it is, Ctrl-C included: no connection stays open
            transport.close()
            raise
        self._wire = running.wire
        self.sha256 = running.sha256
        self.boot = running.hello.boot

    def close(self) -> None:
        if self._wire:
            self._wire.close()
            self._wire = None
        self._transport.close()

    def facts(self) -> Facts:
        """As they were when they were first asked for: finding them out opens every meter."""
        if self._facts is None:
            self._facts = self._convert(self._ask({"do": "facts"}), Facts)
        return self._facts

    def runtimes(self, names: Sequence[str], options: Mapping[str, Any]) -> dict[str, RuntimeOnDevice]:
        request = {"do": "runtimes", "names": list(names), "options": dict(options)}
        answer = self._ask(request, patience.looking(len(names)))
        found = self._convert(answer, dict[str, RuntimeOnDevice])
        if set(found) != set(names):
            raise self._unfit(f"runtimes {sorted(found)}, but {sorted(names)} were requested")
        return found

    def install(self, name: str, wheels: Mapping[str, Path]) -> None:
        """wheels: {sha256: path}, already on the device."""
        self._ask({"do": "install", "name": name, "wheels": list(wheels)}, patience.unpacking(wheels.values()))

    def missing(self, files: Mapping[str, Path]) -> list[str]:
        """Those of {sha256: path} that the device lacks, or has with other content."""
        sizes = {sha256: path.stat().st_size for sha256, path in files.items()}
        answer = self._ask({"do": "missing", "blobs": sizes}, patience.hashing(sum(sizes.values())))
        found = self._convert(answer, list[str])
        if len(set(found)) < len(found) or not set(found) <= files.keys():
            raise self._unfit("it lists files that were not in the request")
        return found

    def send(self, files: Sequence[tuple[str, Path]]) -> None:
        """Send the content of (sha256, path) pairs, each resumed where an earlier try ended; the agent checks each."""
        for sha256, path in files:
            is_wrong = self._send(sha256, path)
            if is_wrong:  # the agent has deleted the part of the earlier try
                self._send(sha256, path)

    def busy(self) -> Holder | None:
        """Who the device is measuring for, if anyone."""
        return self._convert(self._ask({"do": "busy"}), Holder | None)  # type: ignore[arg-type]

    def start(self, job: Mapping[str, Any]) -> bool:
        """Start a job; False if the device already has it, running or ended. Raises DeviceBusy."""
        answer = self._convert(self._ask({"do": "start", "job": dict(job)}), Started)
        if answer.busy:
            raise DeviceBusy(self.where, answer.busy)
        self._job_runs = True
        return answer.started

    def tail(self, job: str, line: int, allowance: Allowance | None = None) -> Iterator[bytes | TailEnd]:
        """Every journal line from number `line` on, as it is written, then one TailEnd."""
        self._job_runs = True
        allowance = allowance or Allowance()
        watchdog = Watchdog(self.where, self._progress)
        self._write({"do": "tail", "job": job, "line": line})
        while True:
            text = self._read_line(wire.MAX_LINE_BYTES, watchdog)
            if text.startswith(b'{"n":'):
                number = _NUMBER.match(text)
                if number is None or int(number[1]) != line:
                    raise self._unfit(f"journal line {plain(text[:40].decode(errors='replace'))}, but {line} is due")
                line += 1
                if over := allowance.over(text):
                    raise self._unfit(over)
                yield text
                continue
            ending = self._convert(self._unwrap(text), TailEnd)
            for _ in range(self._interruptions):
                self._answer()
            self._interruptions = 0
            self._job_runs = ending.tail == "interrupted"
            yield ending
            return

    def interrupt(self) -> None:
        """End the current `tail`, which still yields the lines in transit, so that another request can be made."""
        self._write({"do": "clock"})
        self._interruptions += 1

    def clock(self) -> Clock:
        return self._convert(self._ask({"do": "clock"}), Clock)

    def enough(self, job: str) -> None:
        """Ask for no more energy windows: the meter on this machine has seen enough."""
        self._ask({"do": "enough", "job": job})

    def stop(self, job: str) -> None:
        """Ask a job to end after its current round."""
        self._ask({"do": "stop", "job": job})

    def forget(self, job: str) -> None:
        """Remove a finished job's files."""
        self._ask({"do": "forget", "job": job})

    # ------------------------------------------------------------------ messages

    def _send(self, sha256: str, path: Path) -> bool:
        """True if the part from an earlier try was wrong. Content goes in frames, so it is never read as a request."""
        size = path.stat().st_size
        request = {"do": "receive", "sha256": sha256, "size": size}
        ready = self._convert(self._ask(request, patience.receiving(size)), Ready)
        if not 0 <= ready.have <= size:
            raise self._unfit(f"it has {ready.have} bytes of a file of {size}")
        assert self._wire is not None
        try:
            with path.open("rb") as stream:
                stream.seek(ready.have)
                # The agent answers early if it cannot take more.
                while not (early := self._early()) and (piece := stream.read(_FRAME)):
                    self._wire.write(b'{"bytes":%d}\n' % len(piece) + piece)
            self._wire.write(b'{"bytes":0}\n')
        except Ended:
            raise self._link_lost() from None
        except Quiet as error:
            raise self._silent(error) from None
        except Unfit as error:
            raise self._unfit(error) from None
        answer = self._convert(self._unwrap(early) if early else self._answer(), dict[str, bool])
        if not answer.get("whole"):
            if ready.have:
                return True
            raise AgentError(
                self.where, f"{path.name} arrived with other content", "Is the board's disk or memory failing?"
            )
        return False

    def _early(self) -> bytes:
        """An answer that arrives before all is sent, else b""; signs of life are not answers."""
        assert self._wire is not None
        if not self._wire.pending():
            return b""
        line = self._wire.line(wire.MAX_ANSWER_BYTES)
        if not line.startswith(_ALIVE):
            return line
        self._patience.goes_on()  # the agent has taken what was sent before
        self._patience.hears(self._alive(line))
        return b""

    def _ask(self, request: Mapping[str, Any], work: Work = Work()) -> Any:  # noqa: B008  it is frozen
        self._write(request, work)
        return self._answer()

    def _answer(self) -> Any:
        return self._unwrap(self._read_line(wire.MAX_ANSWER_BYTES))

    def _write(self, request: Mapping[str, Any], work: Work = Work()) -> None:  # noqa: B008
        self._asked = f"'{request['do']}'"
        assert self._wire is not None
        self._patience = Patience(work, self._wire.patience)
        try:
            self._wire.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
        except Ended:
            raise self._link_lost() from None
        except Quiet as error:
            raise self._silent(error) from None

    def _read_line(self, max_bytes: int, watchdog: Watchdog | None = None) -> bytes:
        assert self._wire is not None
        started, said_s = time.monotonic(), 0.0
        while True:
            try:
                line = self._wire.line(max_bytes, wire.JOURNAL_SILENCE_MAX_S if watchdog else None)
            except Ended:
                raise self._link_lost() from None
            except Quiet as error:
                raise self._silent(error) from None
            except Unfit as error:
                raise self._unfit(error) from None
            if not line.startswith(_ALIVE):
                return line
            if watchdog:
                watchdog.hears(self._alive(line))
                continue
            waited_s = time.monotonic() - started
            try:
                self._patience.hears(self._alive(line), waited_s)
            except Unfit as error:
                raise self._unfit(error) from None
            if waited_s > said_s + SAY_AGAIN_S:
                said_s = waited_s
                so_far = f"{duration(waited_s)} so far, {self._patience}"
                self._progress.say(f"{self.where}: still working on {self._asked}, {so_far}")

    def _alive(self, line: bytes) -> Alive:
        return self._convert(self._parse(line)["alive"], Alive)

    def _parse(self, line: bytes) -> Any:
        try:
            return wire.parse(line)
        except Unfit as error:
            raise self._unfit(f"{error}: {plain(line[:80].decode(errors='replace'))}") from None

    def _unwrap(self, line: bytes) -> Any:
        answer = self._parse(line)
        if isinstance(answer, dict) and "ok" in answer:
            return answer["ok"]
        if not isinstance(answer, dict) or not isinstance(answer.get("error"), str):
            raise self._unfit(f"neither an answer nor an error: {str(answer)[:80]}")
        if isinstance(answer.get("remedy"), str):
            raise AgentError(self.where, answer["error"], answer["remedy"])
        raise AgentError(self.where, f"the agent says: {answer['error']}", "See its files in `workdir` on the device")

    def _convert(self, answer: Any, type_: type[_T]) -> _T:
        try:
            return msgspec.convert(answer, type_)
        except msgspec.ValidationError as error:
            raise self._unfit(error) from error

    def _unfit(self, why: object) -> AgentError:
        return AgentError(
            self.where, f"the agent's answer to {self._asked} is not usable ({why})",
            "Is another program answering there? If not, report this as a bug",
        )  # fmt: skip

    def _silent(self, error: Quiet) -> Silence:
        return Silence(self.where, f"silent for {error} (waiting for {self._asked})", self._what_goes_on())

    def _link_lost(self) -> LinkLost:
        assert self._wire is not None
        return LinkLost(self.where, f"the connection ended: {self._wire.last_words()}", self._what_goes_on())

    def _what_goes_on(self) -> str:
        if self._asked == "'start'":
            return "It is unknown whether the job was started; deploy again, which resumes it if it was"
        if not self._job_runs:
            return "Nothing was started there; deploy again"
        return f"A job was running there at {time.strftime('%H:%M')}; deploy again to resume it"

    def _say_silence(self, seconds: float) -> None:
        self._progress.say(f"{self.where}: silent for {seconds:.0f} s (waiting for {self._asked})")
