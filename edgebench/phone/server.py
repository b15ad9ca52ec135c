"""The process between a phone's browser and `deploy`: python -m edgebench.phone.server CONFIG.

    a socket of this user   one session for each `deploy` or `check` that is connected
    http or https           the page, its files, and what it says
    main thread             one job after the other

It ends by itself when nobody is connected and no job runs.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from device_agents.python import PROTOCOL
from device_agents.python import job as jobs
from device_agents.python.channel import Channel, Closed
from device_agents.python.store import Store
from edgebench.phone import http
from edgebench.phone.device import open_phone
from edgebench.phone.page import GONE_S, Page
from edgebench.phone.session import PhoneSession
from edgebench.phone.show import Show, ShownJournal

# Long enough to connect again, and for a second command.
LINGER_S = 5.0


class Station:
    """What the threads of the server share.

    config: {"target", "workdir", "socket", "assets", "versions", "folders", "token", "bind", "port", "hosts",
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

    def turned_away(self, why: str) -> None:
        self._turned_away = [*self._turned_away, why][-5:]

    def take_turned_away(self) -> list[str]:
        told, self._turned_away = self._turned_away, []
        return told

    # ------------------------------------------------------------------ hosts

    def accept_hosts(self, listening: socket.socket) -> None:
        while True:
            connection, _ = listening.accept()
            with self._lock:
                self._hosts += 1
            threading.Thread(target=self._serve_host, args=(connection,), daemon=True).start()

    def _serve_host(self, connection: socket.socket) -> None:
        with connection:
            channel = Channel(connection.fileno(), connection.fileno())
            try:
                channel.send({"hello": PROTOCOL, "python": sys.version.split()[0], "pid": os.getpid()})
                session = PhoneSession(channel, self)
                while True:
                    session.answer(channel.receive())
            except (Closed, ConnectionError, ValueError):
                pass
            finally:
                with self._lock:
                    self._hosts -= 1
                    self._last_host_s = time.monotonic()


def main(arguments: list[str]) -> None:
    if os.fork():  # it outlives whoever started it, and is nobody's to wait for
        return
    os.setsid()
    config = json.loads(arguments[0])
    station = Station(config)
    signal.signal(signal.SIGTERM, lambda *_: jobs.STOP_ASKED.set())
    path = Path(config["socket"])
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        try:
            web = http.serve(station)
        except OSError as error:
            path.unlink()
            sys.exit(f"port {config['port']}: {error.strerror}")
        threading.Thread(target=station.accept_hosts, args=(listening,), daemon=True).start()
        threading.Thread(target=web.serve_forever, daemon=True).start()
        print(json.dumps({"port": web.server_port}), flush=True)
        station.run_jobs()
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1:])
