"""The state that the threads of a phone's server share: its page, its store, and the queue of jobs."""

from __future__ import annotations

import json
import queue
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from device_agents.python import job as jobs
from device_agents.python import store as store_
from device_agents.python.store import Store
from edgebench.device.phone.device import open_phone
from edgebench.device.phone.page import GONE_S, HttpRefusal, Page
from edgebench.device.phone.show import JobDisplay, ShownJournal

# Long enough to connect again, and for a second command.
LINGER_S = 5.0
# Larger bodies are read one at a time, to limit memory; each waits at most this long for its turn.
SMALL_BYTES, ROOM_S = 64 << 10, 10.0
# A refused browser tries again; the terminal shows each reason once in this time, and at most so many.
REPORTED_S, REPORTED_MOST = 60.0, 5
# Within this time a killed host that followed a job has disconnected.
FOLLOWER_S = 3.0


class FollowedElsewhere(store_.RequestRefused):
    """Another job is running, or another host follows this one."""


class Follower:
    """A host's session. pid: of its process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


class Station:
    """config: {"target", "threads", "emulated", "workdir", "socket", "assets", "versions", "folders", "token", "bind",
    "port", "hosts", "certificate", "gone_s"}; see link.py.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.store = Store(config["workdir"])
        self.versions: dict[str, str] = config["versions"]
        self.stop = threading.Event()
        self.page = Page(config.get("gone_s") or GONE_S, self.stop.is_set)
        self.page.emulated = bool(config.get("emulated"))
        self.phone = open_phone(self.page, self.versions, config["folders"], config.get("via") or [])
        self.show = JobDisplay()
        self._lock = threading.Lock()
        self._jobs: queue.Queue[Path] = queue.Queue()
        self._hosts = 0
        self._last_host_s = time.monotonic()
        self._quit = False
        self._turned_away: list[str] = []
        self._reported_s: dict[str, float] = {}
        self._room = threading.Semaphore()
        self._changed = threading.Condition()
        self._followers: dict[str, Follower] = {}

    def run_jobs(self) -> None:
        """Run jobs until there is nothing left to do."""
        while not self._is_over():
            try:
                folder = self._jobs.get(timeout=1.0)
            except queue.Empty:
                continue
            self._run(folder)

    def _run(self, folder: Path) -> None:
        job = json.loads((folder / "job.json").read_text())
        journal = ShownJournal(folder / "journal.jsonl", self.show)
        self.show.started([spec["name"] for spec in job["artifacts"]], job["plan"]["rounds_min"])
        self.stop.clear()
        status = "died"
        try:
            status = jobs.run(job, self.store, folder, journal, self.stop, self.phone)
        except Exception:  # whatever a job dies of is reported with it, and the server continues
            (folder / "stderr.txt").write_text(traceback.format_exc())
        finally:
            self.page.in_use = False
            (folder / "pid").unlink()
            self.show.ended(status)
            self.page.nudge()
            self._last_host_s = time.monotonic()

    def begin(self, folder: Path) -> None:
        self.page.in_use = True
        self._jobs.put(folder)

    def quit(self) -> bool:
        if not self.page.in_use:
            self._quit = True
        return self._quit

    def _is_over(self) -> bool:
        with self._lock:
            idle = self._hosts == 0 and time.monotonic() - self._last_host_s > LINGER_S
        return (self._quit or idle) and not self.page.in_use

    def host_came(self) -> None:
        with self._lock:
            self._hosts += 1

    def host_left(self) -> None:
        with self._lock:
            self._hosts -= 1
            self._last_host_s = time.monotonic()

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """Raises HttpRefusal if the wait is too long."""
        if size <= SMALL_BYTES:
            yield
            return
        if not self._room.acquire(timeout=ROOM_S):
            raise HttpRefusal(503, "Too much at once", "It continues by itself.")
        try:
            yield
        finally:
            self._room.release()

    def follow(self, job: str, follower: Follower) -> None:
        """One host follows a job to its end and saves the results. Raises FollowedElsewhere if another process does."""
        with self._changed:
            self._changed.wait_for(lambda: self.followed_by(job) in (None, follower.pid), FOLLOWER_S)
            if self.followed_by(job) not in (None, follower.pid):
                raise FollowedElsewhere(
                    f"job {job} is followed by another edgebench (process {self.followed_by(job)})",
                    "Wait for that one to end, or stop it with Ctrl-C there",
                )
            self._followers[job] = follower

    def hung_up(self, follower: Follower) -> None:
        with self._changed:
            self._followers = {job: one for job, one in self._followers.items() if one is not follower}
            self._changed.notify_all()

    def followed_by(self, job: str) -> int | None:
        """The process that follows a job."""
        follower = self._followers.get(job)
        return follower.pid if follower else None

    def turned_away(self, why: str) -> None:
        now = time.monotonic()
        if now - self._reported_s.get(why, -REPORTED_S) >= REPORTED_S:
            self._reported_s[why] = now
            self._turned_away = [*self._turned_away, why][-REPORTED_MOST:]

    def take_turned_away(self) -> list[str]:
        reasons, self._turned_away = self._turned_away, []
        return reasons
