"""A way to a device. One file each; the file's name is what `transport:` in targets.yaml says.

open_transport(target) -> Transport
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

from edgebench import plugins
from edgebench.targets import Target

EXIT_NO_AGENT = 97
EXIT_NO_PYTHON = 98


class Transport(Protocol):
    python: str
    """The interpreter there."""
    workdir: str
    """The agent's folder there; a leading ~ is the home folder there."""

    def connect(self) -> None:
        """Reach the device or raise Unreachable with the remedy."""

    def put(self, source: Path, destination: str) -> None:
        """Copy a file to `destination` there, making its folder; whole or not at all."""

    def run(self, script: str) -> subprocess.Popen[bytes]:
        """Start an `sh` script there, with its stdin, stdout and stderr as pipes."""

    def close(self) -> None: ...


def open_transport(target: Target) -> Transport:
    module = plugins.load("edgebench.transports", target.transport, kind="transport")
    transport: Transport = module.open_transport(target)
    return transport
