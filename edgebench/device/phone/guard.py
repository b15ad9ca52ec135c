"""A server that strangers cannot exhaust: limits on connections, their duration, the size of requests and the log.

Anyone in the network may connect. If there are too many connections, one that has not shown the code is dropped for a
newer one, so that the phone always gets in. A slow one is closed from another thread, whatever its own waits for.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import IO, Any, TextIO

MAX_CONNECTIONS = 48
MAX_LINE_BYTES = 4096
MAX_HEAD_BYTES = 16 << 10
MAX_LOG_CHARACTERS = 64 << 10
# From the first byte of a request to the end of its head; before the code was shown, also until the first byte.
HEAD_S = 10.0
# Between two requests, once the code was shown.
IDLE_S = 65.0


@dataclass
class Visit:
    """One connection. known: whether it has shown the code."""

    since_s: float = field(default_factory=time.monotonic)
    end_s: float = field(default_factory=lambda: time.monotonic() + HEAD_S)
    known: bool = False


class GuardedServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    # Another server on this port must cause an error, not share it.
    allow_reuse_port = False
    tls: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self._visits: dict[socket.socket, Visit] = {}
        self._guarding = threading.Lock()
        super().__init__(address, handler)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls:  # the handshake is left to the handler: a slow one must not block the others
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._guarding:
            if len(self._visits) >= MAX_CONNECTIONS:
                self._drop_one()
            self._visits[connection] = Visit()
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse while too many threads of dropped connections have not ended yet."""
        return threading.active_count() < 2 * MAX_CONNECTIONS

    def _drop_one(self) -> None:
        """The oldest of those that have not shown the code, else the oldest of all."""
        strangers = [one for one, visit in self._visits.items() if not visit.known]
        chosen = min(strangers or self._visits, key=lambda one: self._visits[one].since_s)
        del self._visits[chosen]
        _end(chosen)

    def service_actions(self) -> None:
        """Twice a second: close connections whose time is up."""
        now = time.monotonic()
        with self._guarding:
            for connection, visit in self._visits.items():
                if now > visit.end_s:
                    _end(connection)

    def grant(self, connection: socket.socket, seconds: float) -> None:
        """Let a connection live for `seconds` from now."""
        with self._guarding:
            if connection in self._visits:
                self._visits[connection].end_s = time.monotonic() + seconds

    def trust(self, connection: socket.socket) -> None:
        with self._guarding:
            if connection in self._visits:
                self._visits[connection].known = True

    def is_trusted(self, connection: socket.socket) -> bool:
        visit = self._visits.get(connection)
        return visit is not None and visit.known

    def shutdown_request(self, request: Any) -> None:
        with self._guarding:
            self._visits.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a phone that leaves is not a bug
            super().handle_error(request, client_address)


def _end(connection: socket.socket) -> None:
    """From another thread: the one that uses the connection then reads the end of the stream."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # ssl's own would break that thread's session


class TooLong(Exception):
    """The head of a request is longer than that of any browser."""


class LimitedStream:
    """The stream of a connection, of which only as much may be read as `allow` permits."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = 0

    def allow(self, count: int) -> None:
        self._left = count

    def has_more(self) -> bool:
        """Wait for the first byte of the next request; False at the end of the stream."""
        return bool(self._stream.peek(1))  # type: ignore[attr-defined]

    def readline(self, limit: int = -1) -> bytes:
        line = self._stream.readline(self._left + 1 if limit < 0 else min(limit, self._left + 1))
        return self._take(line)

    def read(self, count: int) -> bytes:
        return self._take(self._stream.read(min(count, self._left + 1)))

    def _take(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise TooLong
        return data

    def close(self) -> None:
        self._stream.close()


class ShortLog:
    """Replaces sys.stderr: keeps the first characters, and says if there were more."""

    def __init__(self, stream: TextIO, most: int = MAX_LOG_CHARACTERS) -> None:
        self._stream = stream
        self._left = most

    def write(self, text: str) -> int:
        if self._left > 0:
            self._stream.write(text[: self._left])
            self._left -= len(text)
            if self._left <= 0:
                self._stream.write("\n... (the rest is not kept)\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
