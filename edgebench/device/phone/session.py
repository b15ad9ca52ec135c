"""One host's session about a phone, as device_agents/python/session.py is about the device it runs on."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from device_agents.python.device import lasting_facts
from device_agents.python.process import WorkerFailed
from device_agents.python.session import AgentSession
from device_agents.python.state import start_time
from edgebench.device.phone.station import FollowedElsewhere, Follower, Station

if TYPE_CHECKING:
    from device_agents.python.channel import Channel

PROBE_S = 120.0


class PhoneSession(AgentSession):
    def __init__(self, channel: Channel, station: Station, pid: int) -> None:
        """pid: of the host's process."""
        super().__init__(channel, station.store)
        self._station = station
        self._follower = Follower(pid)
        self._generation = -1

    def close(self) -> None:
        self._station.hung_up(self._follower)

    def do_news(self, known: str, seconds: float) -> dict[str, Any]:
        """The page's state once it differs from `known`, and the reasons why browsers were refused meanwhile."""
        state = self._station.page.wait_for_change(known, seconds)
        return {"state": state, "turned_away": self._station.take_turned_away()}

    def do_wait(self, seconds: float) -> dict[str, Any]:
        """Wait for a phone to open the page. known: whether one did before. turned_away: reasons for refusals."""
        here = self._station.page.wait(seconds)
        known = self._station.page.generation > 0
        return {"here": here, "known": known, "turned_away": self._station.take_turned_away()}

    def do_quit(self) -> bool:
        """End the server, unless a job runs; whether it ends."""
        return self._station.quit()

    def do_busy(self) -> None:
        """None: the lock of this machine says nothing about the phone."""

    def do_facts(self) -> dict[str, Any]:
        return {**self._lasting_facts(), **self._station.phone.momentary_facts()}

    def _lasting_facts(self) -> dict[str, Any]:
        """Of the page as it was loaded last: another phone may have opened it since."""
        if self._generation != self._station.page.generation:
            self._generation = self._station.page.generation
            self._facts = lasting_facts(self._station.phone)
        return self._facts

    def do_runtimes(self, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
        self._check_free()
        begun_s = time.monotonic()  # time stands for progress: the page reports none, and its answer has a deadline
        self._heartbeat.watch(lambda: 1000 * (time.monotonic() - begun_s))
        return {name: self._probe(name, options) for name in names}

    def _probe(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        if name not in self._station.versions:
            return {"problem": "it does not run in a browser"}
        try:
            with self._station.phone.start_worker() as worker:
                return {"folder": "", "facts": worker.ask("runtime", PROBE_S, name=name, options=options)}
        except WorkerFailed as failure:
            return {"problem": failure.reason}

    def do_start(self, job: dict[str, Any]) -> dict[str, bool]:
        self._check_free(job["id"])
        if not self._store.create_job(job, self._lasting_facts()):
            return {"started": False}
        folder = self._store.job_folder(job["id"])
        (folder / "pid").write_text(f"{os.getpid()} {start_time(os.getpid())}")
        self._station.begin(folder)
        return {"started": True}

    def _check_free(self, job: str = "") -> None:
        """Raises FollowedElsewhere if another job than this one runs."""
        busy = self._running_job()
        if busy and busy != job:
            raise FollowedElsewhere(
                f"the phone is busy with job {busy}", "Repeat its `deploy` to resume it, or wait for its end"
            )

    def do_running(self) -> dict[str, Any]:
        """The running job and the process that follows it; None without."""
        job = self._running_job()
        return {"job": job, "pid": self._station.followed_by(job) if job else None}

    def do_tail(self, job: str, line: int) -> dict[str, Any]:
        self._station.follow(job, self._follower)
        ending: dict[str, Any] = super().do_tail(job, line)
        return ending

    def do_stop(self, job: str) -> None:
        if self._running_job() == job:
            self._station.stop.set()
