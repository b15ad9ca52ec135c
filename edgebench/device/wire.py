"""Lines from an untrusted process: limits on what is read, a deadline for every wait.

Wire         the pipes of one process: write, line, last words
parse        one line as JSON of a known depth, with finite numbers and text that a terminal may be shown
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from edgebench.files.plain_text import plain

# An agent's longest lines: the outputs for golden inputs, 6 MB (device_agents/python/job.py), and rounds of ten seconds
# of the shortest values that are not timed in blocks, 3 MB.
MAX_LINE_BYTES = 8 << 20
MAX_ANSWER_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
# Silence is reported after the first, and ends the wait after the second; a working agent gives a sign every 5 s.
SILENCE_SAID_S = 10.0
SILENCE_MAX_S = 25.0
JOURNAL_SILENCE_MAX_S = 12.0
_PIECE = 1 << 16
_LAST_WORDS = 2000


class Ended(Exception):
    """The process has ended, or the connection to it."""


class Quiet(Exception):
    """Nothing arrived, or nothing was taken, before the deadline."""


class Unfit(ValueError):
    """What arrived breaks the protocol; the text says how."""


OnSilence = Callable[[float], None]


class Wire:
    """The pipes of one process; stderr is read all the time, so that a full pipe never blocks the process."""

    def __init__(self, process: Any, on_silence: OnSilence | None = None, patience: float = 1.0) -> None:
        """on_silence: called with the seconds of silence after SILENCE_SAID_S, once for each wait.

        patience: factor for every deadline, for a machine whose own clock runs that much slower.
        """
        self.patience = patience
        self._process = process
        self._on_silence = on_silence
        self._buffer = bytearray()
        self._searched = 0
        self._said = b""
        self._listener: threading.Thread | None = None
        os.set_blocking(process.stdin.fileno(), False)
        if process.stderr:
            self._listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
            self._listener.start()

    def line(self, max_bytes: int = MAX_LINE_BYTES, deadline_s: float | None = None) -> bytes:
        """The next line without its end. Raises Ended, Quiet, and Unfit for one that is too long."""
        started = time.monotonic()
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0 and len(self._buffer) > max_bytes or end > max_bytes:
                raise Unfit(f"a line of more than {max_bytes >> 20} MB")
            if end >= 0:
                line = bytes(memoryview(self._buffer)[:end])
                del self._buffer[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._buffer)
            self._await(
                self._process.stdout,
                writing=False,
                started=started,
                deadline_s=deadline_s or SILENCE_MAX_S,
            )
            try:
                piece = os.read(self._process.stdout.fileno(), _PIECE)
            except ConnectionError:
                piece = b""
            if not piece:
                raise Ended
            self._buffer += piece

    def pending(self) -> bool:
        """Whether something has arrived that was not read yet."""
        if self._buffer:
            return True
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def write(self, data: bytes) -> None:
        """Write all of it. Raises Ended, and Quiet if nothing is taken for SILENCE_MAX_S."""
        view = memoryview(data)
        while view:
            self._await(self._process.stdin, writing=True, started=time.monotonic(), deadline_s=SILENCE_MAX_S)
            try:
                view = view[os.write(self._process.stdin.fileno(), view[:_PIECE]) :]
            except BlockingIOError:
                continue
            except (ConnectionError, OSError) as error:
                raise Ended from error

    def last_words(self) -> str:
        """The last line of stderr, or else the exit code."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=2)
        if self._listener:
            self._listener.join(timeout=1)
        said = [line for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        if said:
            return plain(said[-1])
        return f"exit code {code}" if code is not None else "it is silent and does not exit"

    def exit_code(self) -> int | None:
        """None if it does not exit."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return int(self._process.wait(timeout=5))
        return None

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self._process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._listener:
            self._listener.join(timeout=1)

    def _await(self, stream: IO[bytes], *, writing: bool, started: float, deadline_s: float) -> None:
        is_said = False
        deadline_s, said_s = deadline_s * self.patience, SILENCE_SAID_S * self.patience
        while True:
            waited = time.monotonic() - started
            if waited >= deadline_s:
                raise Quiet(f"{deadline_s:.0f} s")
            until = deadline_s if is_said or waited >= said_s else min(said_s, deadline_s)
            files: tuple[list[Any], list[Any]] = ([], [stream]) if writing else ([stream], [])
            if any(select.select(*files, [], max(0.0, until - waited))[:2]):
                return
            if not is_said and time.monotonic() - started < deadline_s:
                is_said = True
                if self._on_silence:
                    self._on_silence(time.monotonic() - started)

    def _listen(self, stderr: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(stderr.fileno(), _PIECE):
                self._said = (self._said + piece)[-_LAST_WORDS:]
        with contextlib.suppress(OSError):
            stderr.close()


# ------------------------------------------------------------------ content


def parse(line: bytes) -> Any:
    """Raises Unfit for invalid JSON, for too many levels, and for numbers that are not finite or too large."""
    try:
        value = json.loads(line, parse_constant=_no_number, parse_int=_integer, parse_float=_float)
    except RecursionError:
        raise Unfit(f"JSON that is more than {MAX_DEPTH} levels deep") from None
    except UnicodeDecodeError:
        raise Unfit("text that is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unfit(f"invalid JSON ({error.msg} at character {error.pos + 1})") from None
    return checked(value)


def checked(value: Any, depth: int = 0) -> Any:
    """The value with its texts made `plain`. Raises Unfit as `parse` does."""
    if depth > MAX_DEPTH:
        raise Unfit(f"JSON that is more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [checked(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {plain(key): checked(one, depth + 1) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("a number that is not finite")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise Unfit("a whole number of more than 64 bits")
    return value


def _no_number(name: str) -> float:
    raise Unfit(f"{name}, which is not a number in JSON")


def _integer(text: str) -> int:
    if len(text) > 20:  # conversion takes time that grows with the square of the length
        raise Unfit("a whole number of more than 64 bits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Unfit("a number that is not finite")
    return value
