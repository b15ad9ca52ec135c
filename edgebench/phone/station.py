"""What the threads of a phone's server share: its page, its store, and the jobs that wait for one another."""

from __future__ import annotations

import json
import queue
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from device_agents.python import job as jobs
from device_agents.python.store import Store
from edgebench.phone.device import open_phone
from edgebench.phone.page import GONE_S, Page
from edgebench.phone.show import Show, ShownJournal

# Long enough to connect again, and for a second command.
LINGER_S = 5.0


class Station:
    """config: {"target", "workdir", "socket", "assets", "versions", "folders", "token", "bind", "port", "hosts",
    "certificate", "gone_s"}; see transports/web.py.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.store = Store(config["workdir"])
        self.versions: dict[str, str] = config["versions"]
        self.page = Page(config.get("gone_s") or GONE_S, jobs.STOP_ASKED.is_set)
        self.phone = open_phone(self.page, self.versions, config["folders"], config.get("via") or [])
        self.show = Show()
        self._lock = threading.Lock()
        self._jobs: queue.Queue[Path] = queue.Queue()
        self._hosts = 0
        self._last_host_s = time.monotonic()
        self._quit = False
        self._turned_away: list[str] = []

    def run_jobs(self) -> None:
        """Until there is nothing more to do."""
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
        jobs.STOP_ASKED.clear()
        status = "died"
        try:
            status = jobs.run(job, self.store, folder, journal, self.phone)
        except Exception:  # a job that dies says why, and the server goes on
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

    def turned_away(self, why: str) -> None:
        self._turned_away = [*self._turned_away, why][-5:]

    def take_turned_away(self) -> list[str]:
        told, self._turned_away = self._turned_away, []
        return told
