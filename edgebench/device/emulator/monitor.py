"""A client of QEMU's monitor (QMP: one JSON object per line)."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from edgebench.errors import UserError

# A snapshot writes a few hundred megabytes before the answer.
_TIMEOUT_S = 300.0


class QemuMonitor:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> Any:
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while "event" in (answer := self._read()):
            pass
        if "error" in answer:
            seen = f"{command}: {answer['error']['desc']}"
            raise UserError("QEMU's monitor", seen, "Stop the board and start it again")
        return answer["return"]

    def human(self, line: str) -> str:
        """A command of the human monitor; returns its output, also if it failed."""
        return str(self.execute("human-monitor-command", **{"command-line": line}))

    def ssh_port(self) -> int:
        """The port of this computer that leads to the board's sshd, chosen by QEMU."""
        table = self.human("info usernet")
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table)
        if match is None:
            raise RuntimeError(f"no forwarded port in QEMU's answer:\n{table}")
        return int(match[1])

    def _read(self) -> dict[str, Any]:
        line = self._stream.readline()
        if not line:
            raise UserError("QEMU's monitor", "QEMU has ended", "Start the board again")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def connect(path: Path) -> Iterator[QemuMonitor]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        # A socket's path may have 107 bytes, and a test's folder is longer; this detour is short.
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError as error:
            raise UserError("QEMU's monitor", f"{path}: {error.strerror}", "Is the board running?") from error
        finally:
            os.close(folder)
        with connection.makefile("rw", encoding="utf-8") as stream:
            yield QemuMonitor(stream)
