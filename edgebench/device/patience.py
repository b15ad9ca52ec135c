"""How long to wait for an answer: as long as the agent reports progress, within the size of the request.

A sign of life says how much of the request is done (PROTOCOL.md): a number that only rises, up to the request's size.
The wait ends if it does not rise for STALLED_S, or if the request takes longer than on the slowest board.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgebench.device.answers import Alive, duration
from edgebench.device.wire import Unfit
from edgebench.errors import AgentError
from edgebench.progress import Progress

STALLED_S = 25.0
REQUEST_MAX_S = 600.0
# The slowest board (reading, hashing and writing) and the slowest link.
BOARD_BYTES_PER_S, LINK_BYTES_PER_S = 200_000.0, 20_000.0
# How long to wait for a job whose processes are stopped by a signal.
STOPPED_MAX_S = 60.0
# Importing a runtime and loading a tiny model.
LOOK_S = 120.0


@dataclass(frozen=True)
class Work:
    """The size of a request, in the units that the agent counts, and the seconds that it may take."""

    units: int = 0
    seconds: float = 0.0


def hashing(size: int) -> Work:
    return Work(size, size / BOARD_BYTES_PER_S)


def receiving(size: int) -> Work:
    """The bytes are received, then hashed."""
    return Work(2 * size, 2 * size / LINK_BYTES_PER_S)


def unpacking(wheels: Iterable[Path]) -> Work:
    """Wheels are hashed and unpacked, and the unpacked files are hashed."""
    units = 0
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            units += path.stat().st_size + 2 * sum(one.file_size for one in wheel.infolist())
    return Work(units, units / BOARD_BYTES_PER_S)


def looking(runtimes: int) -> Work:
    """Milliseconds of processor time."""
    return Work(int(1000 * LOOK_S) * runtimes, LOOK_S * runtimes)


class Patience:
    """For one request, by its signs of life. times: factor for every deadline."""

    def __init__(self, work: Work, times: float) -> None:
        self._work = work
        self._times = times
        self._did = 0
        self.goes_on()

    def goes_on(self) -> None:
        """The host itself has seen progress."""
        self._risen_s = time.monotonic()

    def hears(self, alive: Alive, waited_s: float = 0.0) -> None:
        """Raises Unfit when waiting longer is pointless."""
        if alive.did > self._work.units:
            raise Unfit(f"it reports {alive.did} of {self._work.units} done")
        if alive.did < self._did:
            raise Unfit(f"it reports {alive.did} of {self._work.units} done, after {self._did}")
        if alive.did > self._did:
            self._did = alive.did
            self.goes_on()
        stalled_s = time.monotonic() - self._risen_s
        if stalled_s > STALLED_S * self._times:
            raise Unfit(f"it has worked on that for {duration(stalled_s)} without progress")
        if waited_s > min(STALLED_S + self._work.seconds, REQUEST_MAX_S) * self._times:
            raise Unfit(f"it has worked on that for {duration(waited_s)}, {self}")

    def __str__(self) -> str:
        return f"{self._did / self._work.units:.0%} done" if self._work.units else "without a sign of progress"


class Watchdog:
    """Watches the signs of life of a quiet job: says if a signal has stopped a process, and does not wait endlessly."""

    def __init__(self, where: str, progress: Progress) -> None:
        self._where = where
        self._progress = progress
        self._since: float | None = None

    def hears(self, alive: Alive) -> None:
        if alive.stopped is None:
            self._since = None
            return
        if self._since is None:
            self._since = time.monotonic()
            self._progress.say(
                f"{self._where}: its process {alive.stopped} is stopped (SIGSTOP); `kill -CONT {alive.stopped}` on the "
                "device continues it"
            )
        if time.monotonic() - self._since > STOPPED_MAX_S:
            raise AgentError(
                self._where, f"the job's process {alive.stopped} has been stopped (SIGSTOP) for {STOPPED_MAX_S:.0f} s",
                f"On the device: kill -CONT {alive.stopped}; then deploy again to resume the job",
            )  # fmt: skip
