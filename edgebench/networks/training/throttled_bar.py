"""The progress of many short steps, redrawn only a few times a second."""

from __future__ import annotations

import time

from edgebench.progress import ProgressStep

REDRAW_S = 0.1


class ThrottledBar:
    def __init__(self, step: ProgressStep) -> None:
        self._step = step
        self._waiting = 0
        self._note = ""
        self._shown = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self._waiting += amount
        if time.monotonic() - self._shown >= REDRAW_S:
            self.show(self._note)

    def show(self, note: str) -> None:
        """At once, and with a new text after the bar."""
        self._note = note
        self._step.advance(self._waiting, note)
        self._waiting = 0
        self._shown = time.monotonic()
