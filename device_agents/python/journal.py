"""The append-only lines that one job writes; the only thing that crosses from the device to the host."""

import json
import os
import time


class Journal:
    """Every event is one line, on disk (fsync) before the job goes on."""

    def __init__(self, path):
        self._stream = path.open("ab")
        self._count = 0

    def write(self, event, copied=b"", **fields):
        """copied: a JSON object as bytes, whose members join the line unread: values come by the ten thousand."""
        known = {"n": self._count, "t_ns": time.monotonic_ns(), "event": event, **fields}
        line = json.dumps(known, separators=(",", ":")).encode()
        if copied:
            line = line[:-1] + b"," + copied[1:]
        self._stream.write(line + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._count += 1
