"""A TCP proxy that cuts, stalls, throttles or corrupts at a byte count or at an event, and counts what it carries."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["cut", "stall", "corrupt", "throttle"]
Direction = Literal["up", "down"]


@dataclass
class Fault:
    """Once, when so many bytes have gone in a direction, or when the event is seen.

    rate: bytes a second of a throttled link.
    """

    kind: Kind
    at_bytes: int = 0
    direction: Direction = "up"
    event: Callable[[], bool] | None = None
    rate: float = 0.0
    done: bool = False


@dataclass
class Proxy:
    """Listens on `port`. up: bytes to the board; down: from it; connections: how many there were."""

    board_port: int
    fault: Fault | None = None
    up: int = 0
    down: int = 0
    connections: int = 0
    _open: list[socket.socket] = field(default_factory=list)
    _stalled: threading.Event = field(default_factory=threading.Event)
    _closed: bool = False

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def once(self, fault: Fault) -> None:
        """The next fault; counts begin at 0. One with an event is watched for separately."""
        self.up = self.down = 0
        self.fault = fault
        if fault.event:
            threading.Thread(target=self._await, args=(fault,), daemon=True).start()

    def cut(self) -> None:
        """Every connection ends now; new ones are accepted."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def stall(self) -> None:
        """All connections, also new ones, stay open and carry nothing."""
        self._stalled.set()

    def heal(self) -> None:
        """What was stalled continues."""
        self.fault = None
        self._stalled.clear()

    def close(self) -> None:
        self._closed = True
        self.heal()
        self.cut()
        # A thread sleeps in accept(): closing the file alone would not wake it.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _await(self, fault: Fault) -> None:
        assert fault.event
        while not self._closed and not fault.done:
            if fault.event():
                self._happen(fault)
            time.sleep(0.002)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                board = socket.create_connection(("127.0.0.1", self.board_port))
            except OSError:
                return
            self.connections += 1
            self._open += [client, board]
            for source, sink, direction in ((client, board, "up"), (board, client, "down")):
                threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        try:
            while piece := source.recv(1 << 14):
                piece = self._through(piece, direction)
                while self._stalled.is_set() and not self._closed:
                    time.sleep(0.01)
                sink.sendall(piece)
        except OSError:
            pass
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()

    def _through(self, piece: bytes, direction: Direction) -> bytes:
        fault = self.fault
        before = self.up if direction == "up" else self.down
        if direction == "up":
            self.up += len(piece)
        else:
            self.down += len(piece)
        if fault is None or fault.done or fault.event or fault.direction != direction:
            return piece
        if fault.kind == "throttle":
            time.sleep(len(piece) / fault.rate)
        elif before + len(piece) > fault.at_bytes:
            if fault.kind == "corrupt":
                fault.done = True
                middle = len(piece) // 2
                return piece[:middle] + bytes([piece[middle] ^ 0xFF]) + piece[middle + 1 :]
            self._happen(fault)
        return piece

    def _happen(self, fault: Fault) -> None:
        fault.done = True
        if fault.kind == "cut":
            self.cut()
        elif fault.kind == "stall":
            self.stall()
