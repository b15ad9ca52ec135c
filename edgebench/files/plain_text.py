"""Text from files and devices, made fit for a terminal: control characters are shown, not obeyed."""

from __future__ import annotations

import re
import unicodedata

LONGEST_EXCERPT = 1000  # TFLite joins the paths of what it has fused
# Quick to find: most text has none of them.
_SUSPECTS = re.compile(r"[^ -~\xa1-\xac\xae-\u02ff]")
_LINE_ENDS_AND_TABS = "\n\r\t\v\f\x85\u2028\u2029"
# U+2400 to U+2421 are pictures of U+0000 to U+0020, and of U+007F.
_PICTURES = 0x2400
_DELETE, _DELETE_PICTURE = 0x7F, "\u2421"
_UNKNOWN = "\ufffd"


def plain(text: str, *, kept: str = "") -> str:
    """One character for each: line ends, tabs and unusual spaces become spaces, other control characters (escape
    sequences begin with one) their pictures. What has no picture, and what reverses the direction of writing, becomes
    U+FFFD. kept: characters that stay.
    """
    return _SUSPECTS.sub(lambda match: match[0] if match[0] in kept else _shown(match[0]), text)


def plain_excerpt(text: str) -> str:
    """`plain`, and not endless."""
    shown = plain(text[:LONGEST_EXCERPT])
    return shown if len(text) <= LONGEST_EXCERPT else f"{shown}…"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character in _LINE_ENDS_AND_TABS or unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    if code < 0x20:
        return chr(_PICTURES + code)
    return _DELETE_PICTURE if code == _DELETE else _UNKNOWN
