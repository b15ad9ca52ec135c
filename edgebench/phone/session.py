"""Answers one host about a phone, as device_agents/python/session.py does about the device that it runs on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from device_agents.python import job as jobs
from device_agents.python.process import WorkerFailed
from device_agents.python.session import Session, _start_time

if TYPE_CHECKING:
    from device_agents.python.channel import Channel
    from edgebench.phone.station import Station

PROBE_S = 120.0


class PhoneSession(Session):
    def __init__(self, channel: Channel, station: Station) -> None:
        super().__init__(channel, station.store)
        self._station = station

    def do_wait(self, seconds: float) -> dict[str, Any]:
        """For a phone to open the page. known: one did before; turned_away: what was told to those not let in."""
        here = self._station.page.wait(seconds)
        known = self._station.page.generation > 0
        return {"here": here, "known": known, "turned_away": self._station.take_turned_away()}

    def do_quit(self) -> bool:
        """End the server, unless a job runs. Whether it does."""
        return self._station.quit()

    def do_busy(self) -> None:
        """The phone is not the machine that this runs on, whose lock says nothing of it."""

    def do_facts(self) -> dict[str, Any]:
        phone = self._station.phone
        return {**phone.static_facts(), **phone.momentary_facts()}

    def do_runtimes(self, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
        busy = self._running_job()
        if busy:
            raise ValueError(f"the phone is busy with job {busy}")
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
        busy = self._running_job()
        if busy and busy != job["id"]:
            raise ValueError(f"the phone is busy with job {busy}")
        if not self._store.create_job(job):
            return {"started": False}
        folder = self._store.job_folder(job["id"])
        (folder / "pid").write_text(f"{os.getpid()} {_start_time(os.getpid())}")
        self._station.begin(folder)
        return {"started": True}

    def do_stop(self, job: str) -> None:
        if self._running_job() == job:
            jobs.STOP_ASKED.set()
