"""Names of files as people give them, and what stands for them where only plain ones are possible."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 120
_SEPARATORS = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DIGITS = 6


def shown(given: str, otherwise: str = "network") -> str:
    """A name for people, one line: letters of any script, spaces and colons stay, slashes do not.

    It begins with a letter or a digit, and is cut at 120 characters.
    """
    line = _SEPARATORS.sub(" ", unicodedata.normalize("NFC", given).replace("/", "-").replace("\\", "-"))
    kept = "".join(one for one in line if one.isprintable()).strip()
    while kept and not kept[0].isalnum():
        kept = kept[1:].lstrip()
    return kept[:LONGEST].rstrip() or otherwise


def safe(name: str) -> str:
    """The same for file names anywhere: ASCII without spaces. Different names stay different: a changed one gets the
    beginning of its hash.
    """
    plain = _UNSAFE.sub("-", name).strip("-").lstrip(".-")
    if plain == name and len(plain) <= LONGEST:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{plain[:LONGEST]}-{digest}".lstrip("-")
