"""Whether the page is still there, from its signs of life.

A page that is open keeps one request open (`stay`) and asks anew when it is answered. So nothing has to be said while
something is timed, a tab that is closed or a browser that is killed is seen at once by its connection, and a phone that
is out of reach by its silence. Who wants to know it now has the open request answered, and waits for the next one.
"""

from __future__ import annotations

import time

# An open request is answered after so long.
STAY_S = 10.0
# Without an open request or another sign for so long, the page is not there.
SILENT_S = 5.0
# A page that is there opens another request soon after a connection broke.
CUT_S = 1.0
# A page that was closed may have sent something before, which comes so much later at most.
LATE_S = 2.0


class Presence:
    """Of one page. Its owner's lock is held by whoever calls."""

    def __init__(self) -> None:
        self.seen_s = -float("inf")
        self._until_s = -float("inf")
        self._left_s: float | None = None
        self._open = 0
        self._opened = 0
        self.signs = 0

    def sign(self) -> None:
        self.seen_s = time.monotonic()
        if self._left_s is not None and self.seen_s - self._left_s > LATE_S:
            self._left_s = None  # a browser may bring a page back
        self._until_s = self.seen_s + (STAY_S + SILENT_S if self._open else SILENT_S)
        self.signs += 1

    def leave(self) -> None:
        self._left_s = time.monotonic()

    def open(self) -> int:
        """The page keeps a request open from now on, which takes the place of the one before; its number."""
        self._opened += 1
        self._open = self._opened
        self.sign()
        return self._open

    def is_open(self, number: int) -> bool:
        return self._open == number

    def answered(self, number: int) -> None:
        if self._open == number:
            self._open = 0
            self._until_s = time.monotonic() + SILENT_S

    def ask(self) -> None:
        """Have the open request answered: if the page is there, it gives a sign within SILENT_S."""
        if self._open:
            self.answered(self._open)

    def cut(self, number: int) -> None:
        """The connection of its open request broke."""
        if self._open == number:
            self._open = 0
            self._until_s = min(self._until_s, time.monotonic() + CUT_S)

    def is_here(self) -> bool:
        return self._left_s is None and time.monotonic() < self._until_s
