"""A Progress that keeps what is said."""

from __future__ import annotations

from edgebench.progress import Silent


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
