"""Output files that the user names: checked before the long work, then written whole or not at all.

A file is replaced by renaming; a link to it stays. Pipes, terminals and devices are written into, and `-` is stdout.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from edgebench.errors import UserError
from edgebench.files.replacing import partial_path, replacing

STDOUT = Path("-")
_STDOUT_FD = 1


def make_folder(folder: Path) -> None:
    """With its parents. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(folder, error) from error


def is_stdout(path: Path) -> bool:
    """Whether it is `-`, or what stdout currently leads to: /dev/stdout, or the file that a shell redirects it to."""
    if path == STDOUT:
        if sys.__stdout__ is None:
            raise UserError(str(path), "stdout is closed", "Give another path")
        return True
    try:
        return os.path.samestat(path.stat(), os.fstat(_STDOUT_FD))
    except OSError:
        return False


def check(path: Path) -> None:
    """Raises UserError if `write` could not write there."""
    try:
        if is_stdout(path) or _is_written_through(path):
            return
        partial = partial_path(_followed(path))
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise _cannot(path, error) from error


def write(path: Path, content: str | bytes | bytearray) -> None:
    """Raises UserError and leaves the file unchanged; BrokenPipeError if nobody reads stdout any more."""
    data = content.encode() if isinstance(content, str) else content
    try:
        if is_stdout(path):
            _write_all(os.dup(_STDOUT_FD), data)
        elif _is_written_through(path):
            # Appended: /dev/stderr may lead to a file that others write to.
            _write_all(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY), data)
        else:
            _replace(_followed(path), data)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and is_stdout(path):
            raise
        raise _cannot(path, error) from error


def _is_written_through(path: Path) -> bool:
    """Whether something is there that must not be replaced by renaming. Raises OSError for what cannot be written."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "it is a folder")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OSError(6, "it is a disk" if stat.S_ISBLK(mode) else "it is a socket")
    if stat.S_ISREG(mode) and not _is_descriptor(path):
        return False
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied")
    return True


def _is_descriptor(path: Path) -> bool:
    """Whether it names an open file of a process, as /dev/fd/3 and /dev/stderr do."""
    for _ in range(40):
        if path.parent.name == "fd" and Path(os.path.realpath(path.parent)).is_relative_to("/proc"):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def _followed(path: Path) -> Path:
    """The target of a link, whether it exists or not. Raises OSError for a circle of links."""
    if not path.is_symlink():
        return path
    followed = Path(os.path.realpath(path))
    if followed.is_symlink():
        raise OSError(40, "the link leads to itself")
    return followed


def _replace(path: Path, data: bytes | bytearray) -> None:
    with replacing(path) as partial:
        partial.write_bytes(data)
        if path.exists():
            shutil.copymode(path, partial)


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    with open(descriptor, "wb") as stream:
        stream.write(data)


def _cannot(path: Path, error: OSError) -> UserError:
    return UserError(str(path), f"cannot be written ({error.strerror})", "Give another path")
