"""Where edgebench keeps what it can make or fetch again: agents, wheels, boards, data sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgebench.errors import UserError
from edgebench.files.replacing import write_whole


def folder() -> Path:
    """$EDGEBENCH_CACHE, else ~/.cache/edgebench."""
    return Path(os.environ.get("EDGEBENCH_CACHE") or "~/.cache/edgebench").expanduser()


@contextmanager
def writing() -> Iterator[None]:
    """Around writes to the cache: turns an OSError into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            str(error.filename or folder()), f"the cache cannot be written ({error.strerror or error})",
            "Free some space there, or set EDGEBENCH_CACHE to another folder",
        ) from error  # fmt: skip


def put(path: Path, content: bytes) -> Path:
    """Write a file, whole or not at all, unless it exists. Raises UserError."""
    if path.exists():
        return path
    with writing():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return path
