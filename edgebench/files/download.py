"""Downloads: resumed after an interruption, and complete only with the right checksum."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416


class NotFetched(Exception):
    """The reason, in one line. What arrived stays in the .part file."""


def fetch(addresses: Sequence[str], path: Path, checksum: str) -> None:
    """Make `path` the file with this checksum, from the first address that has it. Raises NotFetched, OSError.

    checksum: see `has_checksum`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    problems = []
    for address in addresses:
        try:
            _take(address, part)
        except (OSError, http.client.HTTPException, ValueError) as error:
            problems.append(one_line(error))
            continue
        if has_checksum(part, checksum):
            part.replace(path)
            return
        # Not the beginning of the right file: nothing to resume from.
        part.unlink()
        problems.append(f"{address} sends a file that differs from the official one")
    raise NotFetched("; ".join(dict.fromkeys(problems)))


def has_checksum(path: Path, checksum: str) -> bool:
    """checksum: an md5, or `sha256:` and at least its first 8 digits."""
    algorithm, colon, digits = checksum.rpartition(":")
    with path.open("rb") as stream:
        made = hashlib.file_digest(stream, lambda: hashlib.new(algorithm or "md5", usedforsecurity=False)).hexdigest()
    return made.startswith(digits) and len(digits) >= 8 if colon else made == digits


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _take(address: str, part: Path) -> None:
    """Append what is missing; retry for as long as each attempt brings something."""
    while True:
        held = part.stat().st_size if part.exists() else 0
        try:
            if _append(address, part, held):
                return
            raise ConnectionError(f"{address} closed the connection early")
        except (OSError, http.client.HTTPException):
            if not part.exists() or part.stat().st_size <= held:
                raise


def _append(address: str, part: Path, held: int) -> bool:
    """Whether the server sent everything it announced."""
    request = urllib.request.Request(address, headers={"Range": f"bytes={held}-"} if held else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if held and error.code == RANGE_NOT_SATISFIABLE:  # everything has arrived, or another file has
            return True
        raise
    with answer, part.open("ab" if answer.status == PARTIAL_CONTENT else "wb") as stream:
        expected = answer.length
        written = 0
        while chunk := answer.read(CHUNK_BYTES):
            stream.write(chunk)
            written += len(chunk)
    return expected is None or written == expected
