"""A console that prints what it is given as text: control characters out of files and devices are shown, not obeyed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_KEPT = "\n\t"
# U+2400 to U+2421 are pictures of U+0000 to U+0020, and of U+007F.
_PICTURES = 0x2400
_DELETE, _DELETE_PICTURE = 0x7F, "\u2421"
_UNKNOWN = "\ufffd"


def printable(text: str) -> str:
    """Control characters (escape sequences begin with one) as their pictures; what has none, and what turns the
    direction of writing round, as U+FFFD. Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character in _KEPT or character.isprintable():
        return character
    code = ord(character)
    if code < 0x20:
        return chr(_PICTURES + code)
    if code == _DELETE:
        return _DELETE_PICTURE
    # Cc: C1 controls; Cf: marks of direction, joiners; Cs: halves of pairs, which no terminal's encoding has.
    return _UNKNOWN if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character


class PlainConsole(Console):
    """Rich's own control codes (colours, bars) are its own business; text is what is looked at."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
