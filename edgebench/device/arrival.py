"""Starts the agent on a device: sends its file if it is missing or damaged, and reads its hello.

start ── hello
  └─ missing or damaged ── put ── start ── hello
"""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from device_agents.arrival import source
from device_agents.python import PROTOCOL
from edgebench.device import wire
from edgebench.device.agent_zipapp import build_zipapp
from edgebench.device.transports import EXIT_NO_AGENT, EXIT_NO_PYTHON, AgentTransport, Transport
from edgebench.device.transports.ssh import remote_path
from edgebench.device.wire import Ended, OnSilence, Quiet, Unfit, Wire
from edgebench.errors import AgentError, LinkLost
from edgebench.files.plain_text import plain

# A slow board takes five seconds to start Python and to compile the agent.
HELLO_MAX_S = 25.0
_NOISE_MAX_BYTES = 1 << 16


class Hello(msgspec.Struct, frozen=True):
    """boot: identifies the device's current boot. error: why the agent cannot work there."""

    hello: int
    python: str = ""
    boot: str = ""
    error: str = ""


@dataclass
class RunningAgent:
    wire: Wire
    hello: Hello
    sha256: str


def start_agent(transport: Transport | AgentTransport, where: str, on_silence: OnSilence) -> RunningAgent:
    """An agent with a valid hello. Raises AgentError or LinkLost, and then leaves nothing running."""
    if isinstance(transport, AgentTransport):
        return _greeted(_StartingAgent(Wire(transport.session(), on_silence), where), "", transport.sha256)
    zipapp = build_zipapp()
    sha256 = hashlib.sha256(zipapp).hexdigest()
    path = f"{transport.workdir}/agent-{sha256[:16]}.pyz"
    try:
        return _greeted(_start(transport, path, sha256, where, on_silence), transport.python, sha256)
    except _NotThere:
        _put(transport, zipapp, path)
        return _greeted(_start(transport, path, sha256, where, on_silence), transport.python, sha256)


class _NotThere(AgentError):
    """The agent's file is missing on the device, or has other content."""


def _greeted(process: _StartingAgent, python: str, sha256: str) -> RunningAgent:
    try:
        return RunningAgent(process.wire, _fitting(process, process.hello(), python), sha256)
    except BaseException:  # whatever it is, Ctrl-C included: no process stays behind
        process.wire.close()
        raise


def _start(transport: Transport, path: str, sha256: str, where: str, on_silence: OnSilence) -> _StartingAgent:
    python = remote_path(transport.python)
    process = transport.run(
        f"command -v {python} >/dev/null || exit {EXIT_NO_PYTHON}; exec {python} -I -c {shlex.quote(source('start'))} "
        f"{remote_path(path)} {sha256} session {remote_path(transport.workdir)}"
    )
    return _StartingAgent(Wire(process, on_silence, getattr(transport, "patience", 1.0)), where)


def _put(transport: Transport, zipapp: bytes, path: str) -> None:
    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        file = Path(folder) / os.path.basename(path)  # noqa: PTH119  a path on the device
        file.write_bytes(zipapp)
        transport.put(file, path)


class _StartingAgent:
    """A process whose hello is awaited. What login scripts print before it is noise, shown if there is no hello."""

    def __init__(self, wire_: Wire, where: str) -> None:
        self.wire = wire_
        self.where = where
        self._noise = b""

    def hello(self) -> Hello | None:
        """None if the process ended without one. Raises AgentError and LinkLost."""
        patience = self.wire.patience
        give_up = time.monotonic() + HELLO_MAX_S * patience
        seen = 0
        try:
            while True:
                line = self.wire.line(wire.MAX_ANSWER_BYTES, max(0.001, give_up - time.monotonic()) / patience)
                if line.startswith(b'{"hello":'):
                    return msgspec.convert(wire.parse(line), Hello)
                seen += len(line) + 1
                if seen > _NOISE_MAX_BYTES:
                    raise Unfit(f"{seen >> 10} KB of other output before its hello")
                self._noise = (self._noise + line + b"\n")[-2000:]
        except Ended:
            return None
        except Quiet:
            raise LinkLost(
                self.where, f"the agent did not say hello within {HELLO_MAX_S * patience:.0f} s{self._heard()}",
                "Is the board overloaded, or its disk failing? Nothing was started there; try again",
            ) from None  # fmt: skip
        except (Unfit, msgspec.ValidationError) as error:
            raise AgentError(
                self.where, f"the program that answers is not an edgebench agent: {error}",
                "Check `python` and `workdir` in targets.yaml, and what the login scripts there print",
            ) from None  # fmt: skip

    def last_words(self) -> str:
        """The last line of stderr, and of the noise."""
        return f"{self.wire.last_words()}{self._heard()}"

    def _heard(self) -> str:
        lines = [line for line in self._noise.decode(errors="replace").splitlines() if line.strip()]
        return f" (it printed: {plain(lines[-1][:200])})" if lines else ""


def _fitting(process: _StartingAgent, hello: Hello | None, python: str) -> Hello:
    where = process.where
    if hello is None:
        code = process.wire.exit_code()
        if code == EXIT_NO_AGENT:
            raise _NotThere(where, "the agent's file is damaged on arrival", "Is the board's disk failing?")
        if code == EXIT_NO_PYTHON:
            raise AgentError(where, f"'{python}' is not installed", "Install it (apt: python3), or set `python`")
        raise AgentError(where, f"the agent did not start: {process.last_words()}", f"Try: {python} --version")
    if hello.hello == 0:
        version = hello.python or "too old"
        raise AgentError(where, f"'{python}' is {version}", "The agent needs Python >= 3.9; set `python`")
    if hello.error:
        raise AgentError(where, hello.error, "Free up space there, or set `workdir` in targets.yaml")
    if hello.hello != PROTOCOL:
        raise AgentError(where, f"it speaks protocol {hello.hello}, not {PROTOCOL}", "Report this as a bug")
    return hello
