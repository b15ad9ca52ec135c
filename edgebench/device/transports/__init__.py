"""Ways to reach a device. One file each; its name is what `transport:` in targets.yaml says.

open_transport(target) -> Transport, or AgentTransport if the agent is not the zipapp of device_agents/python
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from edgebench import plugins
from edgebench.device import own_runtimes
from edgebench.progress import Progress
from edgebench.schema.targets import Target

EXIT_NO_AGENT = 97
EXIT_NO_PYTHON = 98


class Transport(Protocol):
    python: str
    """The Python interpreter on the device."""
    workdir: str
    """The agent's folder on the device; a leading ~ is the home folder there."""

    def connect(self, progress: Progress) -> None:
        """Reach the device, or raise Unreachable with the remedy. progress: for requests to the user."""

    def put(self, source: Path, destination: str) -> None:
        """Copy a file to `destination` on the device, creating its folder; whole or not at all."""

    def run(self, script: str) -> subprocess.Popen[bytes]:
        """Start an `sh` script on the device, with stdin, stdout and stderr as pipes."""

    def close(self) -> None: ...


class AgentProcess(Protocol):
    """The part of subprocess.Popen that a process answering the requests of PROTOCOL.md needs."""

    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    @property
    def stderr(self) -> IO[bytes] | None: ...

    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...


@runtime_checkable
class AgentTransport(Protocol):
    """A way to a device with an agent of its own in place of the zipapp."""

    sha256: str
    """The agent's hash, which serves as version."""

    def connect(self, progress: Progress) -> None: ...

    def session(self) -> AgentProcess: ...

    def close(self) -> None: ...


def open_transport(target: Target) -> Transport | AgentTransport:
    """Raises UserError; also for a target's own runtimes, which are part of the agent that goes there."""
    if target.own_runtimes:
        own_runtimes.join(target.own_runtimes)
    module = plugins.load("edgebench.device.transports", target.transport, kind="transport")
    transport: Transport | AgentTransport = module.open_transport(target)
    return transport
