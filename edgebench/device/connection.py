"""The connection to a target's agent while a job runs, renewed when it breaks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from edgebench.device.agent import Agent, DeviceBusy
from edgebench.device.transports import open_transport
from edgebench.errors import LinkLost, TargetError
from edgebench.progress import Progress
from edgebench.schema.targets import Target

RECONNECT_S = 120.0
RECONNECT_PAUSE_S = 2.0
# How often the user hears why there is still no connection.
SAY_AGAIN_S = 30.0
# For a link that is cut again and again while files are sent.
SEND_TRIES = 5
WAIT_POLL_S = 5.0


class Connection:
    def __init__(self, target: Target, progress: Progress) -> None:
        self._target = target
        self._progress = progress
        self.agent = self._connect()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.agent.close()

    def renew(self) -> None:
        """Connect again, trying for RECONNECT_S. Raises LinkLost with the last error and the time of last contact."""
        boot, heard = self.agent.boot, time.strftime("%H:%M:%S")
        self.agent.close()
        started = said = time.monotonic()
        while True:
            try:
                self.agent = self._connect()
                break
            except TargetError as error:
                now = time.monotonic()
                if now - started > RECONNECT_S:
                    raise LinkLost(
                        error.where, f"{error.seen}; no connection for {now - started:.0f} s",
                        f"The last contact was at {heard}. Deploy again when it answers: deploy resumes where it can",
                    ) from error  # fmt: skip
                if now - said > SAY_AGAIN_S:
                    said = now
                    self._progress.say(f"Still no connection after {now - started:.0f} s: {error.seen}")
                time.sleep(RECONNECT_PAUSE_S)
        if boot and self.agent.boot and boot != self.agent.boot:
            self._progress.say(f"{self._target.name} has been restarted")

    def send(self, files: Mapping[str, Path]) -> None:
        """Send those of {sha256: path} that the device lacks, over as many connections as that takes."""
        for tries in range(1, SEND_TRIES + 1):
            try:
                self._send_missing(files)
                return
            except LinkLost as lost:
                if tries == SEND_TRIES:
                    raise
                self._progress.say(f"{lost.seen}. Reconnecting to resume sending ...")
                self.renew()

    def start(self, job: Mapping[str, Any], wait: bool) -> bool:
        """Agent.start, repeated if the link is lost: a job is only started once, however often it is requested."""
        for _ in range(SEND_TRIES):
            try:
                return self.agent.start(job)
            except LinkLost as lost:
                self._progress.say(f"{lost.seen}. Reconnecting ...")
                self.renew()
            except DeviceBusy:
                self.await_turn(wait)
        return self.agent.start(job)

    def await_turn(self, wait: bool) -> None:
        """Raises DeviceBusy if the device is measuring for another user. wait: until that has ended, and say so."""
        announced = ""
        while holder := self.agent.busy():
            if not wait:
                raise DeviceBusy(f"target '{self._target.name}'", holder)
            who = f"{holder.owner} {holder.runs}"
            if who != announced:
                announced = who
                self._progress.say(f"{self._target.name} is busy: {holder}. Waiting for that to end ...")
            time.sleep(WAIT_POLL_S)

    def _send_missing(self, files: Mapping[str, Path]) -> None:
        missing = self.agent.missing(files)
        if not missing:
            return
        size = sum(files[sha256].stat().st_size for sha256 in missing)
        label = f"Sending {len(missing)} files, {size / 1e6:.1f} MB"
        with self._progress.step(label, total=len(missing)) as step:
            for sha256 in missing:
                self.agent.send([(sha256, files[sha256])])
                step.advance()

    def _connect(self) -> Agent:
        return Agent(open_transport(self._target), f"target '{self._target.name}'", self._progress)
