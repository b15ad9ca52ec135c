"""A bundle's folder: written under another name, then moved into place when it is complete.

bundle.json is the last file that is written and the first that is deleted: a folder that has one is complete.
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


def check_replaceable(folder: Path) -> None:
    """A bundle may be replaced, any other folder may not. Raises UserError."""
    if str(folder) == "-":
        raise UserError("--out", "a bundle is a folder, '-' is stdout", _ELSEWHERE)
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / "bundle.json").is_file():
        raise UserError(str(folder), "exists and is not a bundle", _ELSEWHERE)


@contextmanager
def part(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which replaces it if all goes well and is deleted if anything fails,
    with the folders above it that were made for it.

    Where `folder` is a link, its target is replaced and the link stays.
    """
    if folder.is_symlink():
        folder = Path(os.path.realpath(folder))
    absent = [one for one in folder.parents if not one.exists()]
    made = _new(folder)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(hold(made))
        try:
            yield made
            publish(made, folder)
        except BaseException:  # also Ctrl-C: nothing incomplete may stay
            discard(made)
            for one in absent:  # the innermost first; another process may use it by now
                with contextlib.suppress(OSError):
                    one.rmdir()
            raise


def clear(folder: Path, pattern: str) -> None:
    """Delete what killed exports left behind. A running export holds its folder (`hold`)."""
    for left in folder.glob(pattern):
        with contextlib.suppress(OSError):
            is_young = time.time() - left.stat().st_mtime < YOUNG_S  # perhaps about to be held
            if left.is_symlink() or left.stat().st_uid != os.getuid() or is_young:
                continue
            with hold(left):
                discard(left)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder. Raises OSError if another process holds it, or if the file system has no locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _new(folder: Path) -> Path:
    """Beside the final folder: renaming works only within a file system."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear(folder.parent, f".{glob.escape(folder.name)}.*.part")
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        made.chmod(0o755)
    except OSError as error:
        raise UserError(str(folder.parent), f"cannot be written ({error.strerror})", _ELSEWHERE) from error
    return made


def publish(made: Path, folder: Path) -> None:
    """Replace the old bundle by the new one; the old one is restored if that fails."""
    old = made.with_suffix(".old")
    try:
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
    except BaseException:  # also Ctrl-C: the old bundle must not be lost
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    discard(old)


def discard(folder: Path) -> None:
    """Delete a bundle, complete or not; if interrupted, what is left does not look complete."""
    (folder / "bundle.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def room(*folders: Path) -> Iterator[None]:
    """Turn any exception into a UserError that says so, if the cause is that no space is left.

    Libraries that write files report that as anything from "iostream error" to "unexpected pos"; so it is tried out.
    """
    try:
        yield
    except Exception as error:  # whatever a library raises when a disk is full; raised again if none is
        full = [folder for folder in folders if not _has_room(folder)]
        if full or (isinstance(error, OSError) and error.errno in FULL):
            raise UserError(
                " and ".join(map(str, full or folders)),
                "no space is left for the files of this export",
                "Free some space, or use other places: --out for the bundle, TMPDIR for temporary files",
            ) from error
        raise


def has_room(*folders: Path) -> bool:
    """Whether a megabyte fits in each; also True where writing fails for another reason."""
    return all(map(_has_room, folders))


def _has_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return error.errno not in FULL
    return True
