"""The append-only lines that one job writes; the only thing that crosses from the device to the host."""

from __future__ import annotations

import os
import time

from .channel import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Protocol

    class Notebook(Protocol):
        """What takes journal lines."""

        def write(self, event: str, copied: bytes | bytearray = b"", **fields: Any) -> None: ...


# A device that loses power loses at most this much of its rounds; syncing each of them costs more than writing it.
SYNC_S = 1.0


class Journal:
    """One line an event, handed to the system before the job goes on, and synced to disk; rounds once a second."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab")
        self._count = 0
        self._synced_s = 0.0

    def write(self, event: str, copied: bytes | bytearray = b"", **fields: Any) -> None:
        """copied: a JSON object whose members join the line unread, at its end: values come by the ten thousand."""
        known = {"n": self._count, "t_ns": time.monotonic_ns(), "event": event, **fields}
        line = encode(known).encode()
        if copied:
            self._stream.write(line[:-1] + b",")
            self._stream.write(memoryview(copied)[1:])
            self._stream.write(b"\n")
        else:
            self._stream.write(line + b"\n")
        self._stream.flush()
        now_s = time.monotonic()
        if not copied or now_s - self._synced_s >= SYNC_S:
            os.fsync(self._stream.fileno())
            self._synced_s = now_s
        self._count += 1
