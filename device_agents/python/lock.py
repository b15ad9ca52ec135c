"""One measurement at a time on a device, whoever asks: a lock that every user shares, held by the job.

The kernel frees it when the job's process ends, however it ends. What is written in it says who holds it.
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

# Somebody who only looks holds it for less.
LOOK_S = 0.3
MOST_AGE_S = 1e9


def is_needed(job: dict[str, Any]) -> bool:
    """Not for a job on devices that do not exist."""
    return not all(hasattr(runtimes.module(one["runtime"]), "open_device") for one in job["artifacts"])


def take(job: dict[str, Any]) -> tuple[int, None] | tuple[None, dict[str, Any]]:
    """(the open lock, None), or (None, its holder). Whoever has it open, has it."""
    lock = _open()
    give_up = time.monotonic() + LOOK_S
    while not _holds(lock, fcntl.LOCK_EX):
        if time.monotonic() > give_up:
            try:
                return None, _said(lock)
            finally:
                os.close(lock)
        time.sleep(0.02)
    told = {
        "owner": str(job.get("owner", ""))[:100],
        "since_s": time.monotonic(),
        "runs": [str(one.get("name", ""))[:100] for one in job["artifacts"][:20]],
    }
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(told).encode(), 0)
    return lock, None


def holder() -> dict[str, Any] | None:
    """Who holds it; None if nobody does."""
    if not Path(_path()).exists():
        return None
    lock = _open()
    try:
        # Shared: two who only look are not in one another's way.
        return None if _holds(lock, fcntl.LOCK_SH) else _said(lock)
    finally:
        os.close(lock)


def _holds(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _said(lock: int) -> dict[str, Any]:
    """What the holder wrote; another user may have written anything."""
    try:
        told = json.loads(os.pread(lock, 1 << 14, 0))
        age_s = max(0.0, time.monotonic() - float(told["since_s"]))
        age_s = round(min(age_s, MOST_AGE_S))
        return {"owner": str(told["owner"]), "age_s": age_s, "runs": [str(one) for one in told["runs"]]}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}


def _path() -> str:
    folder = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
    return os.environ.get("EDGEBENCH_LOCK") or folder + "/edgebench.lock"


def _open() -> int:
    """Made so that every user can hold it. Linux refuses O_CREAT for another user's file in a shared folder."""
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
