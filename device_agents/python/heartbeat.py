"""Signs of life: while a request is worked on, whoever waits for the answer hears how much of it is done."""

from __future__ import annotations

import threading

from .channel import Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ALIVE_S = 5.0
# These are short, or report their own progress.
_QUICK = ("clock", "tail", "wait")


class Heartbeat:
    """A context around one request that reports its progress every ALIVE_S.

    Progress never falls: it is counted by did(), or read with the function given to watch().
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], does: str) -> None:
        self._send = send
        self._does = does
        self._did = 0
        self._look: Callable[[], float] | None = None
        self._over = threading.Event()
        self._thread = None if does in _QUICK else threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def did(self, units: int) -> None:
        self._did += units

    def watch(self, look: Callable[[], float]) -> None:
        """look() -> how much is done so far."""
        self._look = look

    def _beat(self) -> None:
        try:
            while not self._over.wait(ALIVE_S):
                self._say()
        except Closed:
            pass

    def _say(self) -> None:
        if self._look:
            self._did = max(self._did, int(self._look()))
        self._send({"alive": {"doing": self._does, "did": self._did}})
