"""Whether the page is still there, from its signs of life.

An open page keeps one request open (`stay`) and sends another when it is answered. So nothing needs to be sent while
inferences are timed; the end of the connection shows at once that a tab was closed or a browser killed, and silence
that a phone is out of reach. To know the state now, answer the open request and wait for the next one.
"""

from __future__ import annotations

import time

# An open request is answered after this time.
STAY_S = 10.0
# Without an open request or another sign for this time, the page counts as gone.
SILENT_S = 5.0
# A live page opens another request this soon after a connection broke.
CUT_S = 1.0
# What a page sent before it was closed may arrive this much later.
LATE_S = 2.0


class Presence:
    """Of one page. Callers hold the lock of its owner."""

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
            self._left_s = None  # browsers can restore a closed page
        self._until_s = self.seen_s + (STAY_S + SILENT_S if self._open else SILENT_S)
        self.signs += 1

    def leave(self) -> None:
        self._left_s = time.monotonic()

    def open(self) -> int:
        """The page has opened a request, which replaces the one before; returns its number."""
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
        """Get the open request answered: if the page is there, it gives a sign within SILENT_S."""
        if self._open:
            self.answered(self._open)

    def cut(self, number: int) -> None:
        """The connection of the open request broke."""
        if self._open == number:
            self._open = 0
            self._until_s = min(self._until_s, time.monotonic() + CUT_S)

    def is_here(self) -> bool:
        return self._left_s is None and time.monotonic() < self._until_s
