"""A console that prints text as text: control characters from files and devices are shown, not obeyed."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from edgebench.files.plain_text import plain

_LAYOUT = "\n\t"


def printable(text: str) -> str:
    """Line ends and tabs stay; so does the width, which Rich has already counted."""
    return plain(text, kept=_LAYOUT)


class PlainConsole(Console):
    """Changes text only; Rich's own control codes (colours, bars) pass."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
