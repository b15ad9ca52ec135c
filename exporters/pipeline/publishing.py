"""A bundle's folder: made under another name, then put in its place whole.

bundle.json is the last file that is written and the first that is deleted: a folder that has one is a whole bundle.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgebench.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PROBE_BYTES = 1_000_000
YOUNG_S = 60.0
_ELSEWHERE = "Name another folder with --out"


def refuse_foreign(folder: Path) -> None:
    """A bundle may be replaced, anything else may not. Raises UserError."""
    if str(folder) == "-":
        raise UserError("--out", "a bundle is a folder, '-' is stdout", _ELSEWHERE)
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / "bundle.json").is_file():
        raise UserError(str(folder), "it exists but is not a bundle", _ELSEWHERE)


@contextmanager
def part(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place when all went well, and is gone if anything did not.

    Where `folder` is a link, what it leads to is replaced, and the link stays.
    """
    if folder.is_symlink():
        folder = Path(os.path.realpath(folder))
    made = _new(folder)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(hold(made))
        try:
            yield made
            publish(made, folder)
        except BaseException:
            discard(made)
            raise


def clear(folder: Path, pattern: str) -> None:
    """Delete what killed exports left there. Whoever is at work in a folder holds it (`hold`)."""
    for left in folder.glob(pattern):
        with contextlib.suppress(OSError):
            is_young = time.time() - left.stat().st_mtime < YOUNG_S  # and perhaps about to be held
            if left.is_symlink() or left.stat().st_uid != os.getuid() or is_young:
                continue
            with hold(left):
                discard(left)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Raises OSError if another process does, or if that cannot be known there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _new(folder: Path) -> Path:
    """Beside the final one: renaming works only within a file system."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear(folder.parent, f".{glob.escape(folder.name)}.*.part")
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        made.chmod(0o755)
    except OSError as error:
        raise UserError(str(folder.parent), f"it cannot be written ({error.strerror})", _ELSEWHERE) from error
    return made


def publish(made: Path, folder: Path) -> None:
    """Put the whole new bundle in the place of the old one, which comes back if that fails."""
    old = made.with_suffix(".old")
    try:
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    discard(old)


def discard(folder: Path) -> None:
    """Delete a bundle, or what was to become one; interrupted, what is left does not look whole."""
    (folder / "bundle.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def room(*folders: Path) -> Iterator[None]:
    """Whatever went wrong: if it was that there is no space left, a UserError that says so.

    Libraries that write files say anything from "iostream error" to "unexpected pos"; so it is tried out.
    """
    try:
        yield
    except Exception as error:
        full = [folder for folder in folders if not _has_room(folder)]
        if full or (isinstance(error, OSError) and error.errno in FULL):
            raise UserError(
                " and ".join(map(str, full or folders)),
                "there is no room for the files of this export",
                "Make room, or name other places: --out, and TMPDIR for what is only needed meanwhile",
            ) from error
        raise


def has_room(*folders: Path) -> bool:
    """For a megabyte in each; True too where nothing can be written for another reason."""
    return all(map(_has_room, folders))


def _has_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return error.errno not in FULL
    return True
