"""JSON lines over two file descriptors, with time-outs.

Native libraries print to file descriptor 1 whenever they like. A process that speaks the protocol there first moves it
out of their way (`stdio`), so that what they print lands on stderr and cannot be mistaken for an answer.
"""

from __future__ import annotations

import json
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAX_LINE_BYTES = 64 << 20
MAX_FRAME_BYTES = 1 << 20
# Read in one call; larger buffers cost more to allocate than they save.
PIECE_BYTES = 1 << 16
encode = json.JSONEncoder(separators=(",", ":")).encode


class Closed(Exception):
    """The other side closed the connection."""


class Channel:
    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = bytearray()

    @classmethod
    def stdio(cls) -> Channel:
        """Take over stdin and stdout for the protocol; anything else written to stdout goes to stderr from then on."""
        write_fd = os.dup(1)
        os.dup2(2, 1)
        return cls(0, write_fd)

    def send(self, *messages: Any) -> None:
        """One line each, in a single write: the other side wakes up once."""
        self.send_bytes("".join(encode(message) + "\n" for message in messages).encode())

    def send_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._write_fd, view) :]
        except BrokenPipeError:
            raise Closed("the other side stopped reading") from None

    def waiting(self, timeout_s: float) -> bool:
        """Sleep until there is something to receive, at most `timeout_s`. Whether there is."""
        if self._buffer:
            return True
        ready, _, _ = select.select([self._read_fd], [], [], timeout_s)
        return bool(ready)

    def receive(self, timeout_s: float | None = None) -> Any:
        """One message. Raises Closed at the end of the stream, TimeoutError, ValueError if it is not JSON."""
        return json.loads(self.receive_line(timeout_s))

    def receive_line(self, timeout_s: float | None = None) -> bytearray:
        """One line as received, without its newline."""
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line, self._buffer = self._buffer, self._buffer[end + 1 :]
                del line[end:]
                return line
            searched = len(self._buffer)
            self._fill(timeout_s)
            if len(self._buffer) > MAX_LINE_BYTES:
                self._buffer.clear()
                raise ValueError("a line longer than %d bytes" % MAX_LINE_BYTES)

    def frames(self) -> Iterator[bytes]:
        """Yield the raw bytes of frames, which cannot be mistaken for requests: `{"bytes": n}`, n bytes, ..."""
        while True:
            try:
                frame = self.receive()
            except (ValueError, RecursionError):
                frame = None
            count = frame.get("bytes") if isinstance(frame, dict) else None
            if not isinstance(count, int) or not 0 <= count <= MAX_FRAME_BYTES:
                raise Closed("expected a frame")  # what follows could be anything
            if not count:
                return
            for piece in self.receive_bytes(count):
                yield piece

    def receive_bytes(self, count: int) -> Iterator[bytes]:
        """Yield `count` raw bytes in pieces."""
        while count:
            if not self._buffer:
                self._fill(None)
            piece = bytes(self._buffer[:count])
            del self._buffer[: len(piece)]
            count -= len(piece)
            yield piece

    def _fill(self, timeout_s: float | None) -> None:
        if timeout_s is not None:
            ready, _, _ = select.select([self._read_fd], [], [], timeout_s)
            if not ready:
                raise TimeoutError("no answer within %g s" % timeout_s)
        piece = os.read(self._read_fd, PIECE_BYTES)
        if not piece:
            raise Closed("the other side closed the connection")
        self._buffer += piece
