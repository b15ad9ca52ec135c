"""Write-then-rename: at any moment a path is the whole old file, the whole new one, or nothing."""

from __future__ import annotations

import glob
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME_KEPT = 50  # a file system's limit on names holds for the partial file as well
PRIVATE = 0o600


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside it for a new file or folder, which then takes its place; removed if that fails. Raises OSError.

    A folder replaces nothing: what is there has to be removed inside.
    """
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:  # Ctrl-C leaves no half of a file behind either
        _remove(partial)
        raise


def write_whole(path: Path, content: bytes | bytearray, *, mode: int = 0o666) -> None:
    """mode: of a new file, before the user's mask. Raises OSError."""
    with replacing(path) as partial:
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)


def partial_path(path: Path) -> Path:
    """Of this thread alone: two that write the same file do not mix."""
    return path.with_name(f".{path.name[:_NAME_KEPT]}.{os.getpid()}-{threading.get_ident():x}.part")


def remove(path: Path) -> None:
    """The file, if there is one, and what writers that were killed left of it."""
    path.unlink(missing_ok=True)
    for partial in path.parent.glob(f".{glob.escape(path.name[:_NAME_KEPT])}.*.part"):
        _remove(partial)


def _remove(partial: Path) -> None:
    if partial.is_dir() and not partial.is_symlink():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with suppress(OSError):
            partial.unlink()
