"""One measurement at a time on a device: a lock that all its users share, held by the job.

The kernel releases it when the job's process ends, however it ends. Its content says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path

from . import runtimes
from .store import RequestRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Whoever only checks the lock holds it for less.
LOOK_S = 0.3
MOST_AGE_S = 1e9


def is_needed(job: dict[str, Any]) -> bool:
    """Jobs on simulated devices do without."""
    return not all(hasattr(runtimes.module(one["runtime"]), "open_device") for one in job["artifacts"])


def take(job: dict[str, Any]) -> tuple[int, None] | tuple[None, dict[str, Any]]:
    """(the open lock, None), or (None, its holder). A process that inherits the open file holds it too."""
    lock = _open()
    give_up = time.monotonic() + LOOK_S
    while not _holds(lock, fcntl.LOCK_EX):
        if time.monotonic() > give_up:
            try:
                return None, _content(lock)
            finally:
                os.close(lock)
        time.sleep(0.02)
    content = {
        "owner": str(job.get("owner", ""))[:100],
        "since_s": time.monotonic(),
        "runs": [str(one.get("name", ""))[:100] for one in job["artifacts"][:20]],
    }
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(content).encode(), 0)
    return lock, None


def holder() -> dict[str, Any] | None:
    """Who holds it; None if nobody does."""
    if not Path(_path()).exists():
        return None
    lock = _open()
    try:
        # Shared: two who only check do not block each other.
        return None if _holds(lock, fcntl.LOCK_SH) else _content(lock)
    finally:
        os.close(lock)


def _holds(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _content(lock: int) -> dict[str, Any]:
    """What the holder wrote; another user may have written anything."""
    try:
        content = json.loads(os.pread(lock, 1 << 14, 0))
        age_s = max(0.0, time.monotonic() - float(content["since_s"]))
        age_s = round(min(age_s, MOST_AGE_S))
        return {"owner": str(content["owner"]), "age_s": age_s, "runs": [str(one) for one in content["runs"]]}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}


def _path() -> str:
    folder = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
    return os.environ.get("EDGEBENCH_LOCK") or folder + "/edgebench.lock"


def _open() -> int:
    """Created so that every user can hold it. Linux refuses O_CREAT for another user's file in a shared folder."""
    path = _path()
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            lock = os.open(path, flags | os.O_CREAT, 0o666)
            os.fchmod(lock, 0o666)
            return lock
    except OSError as error:
        raise RequestRefused("its lock %s cannot be opened (%s)" % (path, error.strerror), "Remove it there") from error
