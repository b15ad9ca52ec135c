"""Files that someone asked for by name: looked at before the long work, then written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from edgebench.errors import UserError


def make_folder(folder: Path) -> None:
    """And those it is in. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(folder, error) from error


def check(path: Path) -> None:
    """Raises UserError if `write` could not write there."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        partial = _partial(path)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise _cannot(path, error) from error


def write(path: Path, content: str | bytes | bytearray) -> None:
    """By renaming. Raises UserError."""
    partial = _partial(path)
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    except OSError as error:
        raise _cannot(path, error) from error


def _partial(path: Path) -> Path:
    """Of this process alone: two that write the same file do not mix."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _cannot(path: Path, error: OSError) -> UserError:
    return UserError(str(path), f"cannot be written ({error.strerror})", "Give another path")
