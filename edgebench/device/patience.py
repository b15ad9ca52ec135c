"""How long an answer is waited for: as long as the agent shows that it gets on, within what was asked of it.

A sign of life says how much of the request is done (PROTOCOL.md). That rises, and to what was asked for at most; where
it does not rise for STALLED_S, or all of it takes longer than on the slowest board, the wait ends.
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
# What the slowest board reads, hashes and writes, and what the slowest link carries.
BOARD_BYTES_PER_S, LINK_BYTES_PER_S = 200_000.0, 20_000.0
# A job whose processes are stopped is waited for so long.
STOPPED_MAX_S = 60.0
# Importing a runtime and loading a tiny model.
LOOK_S = 120.0


@dataclass(frozen=True)
class Work:
    """What a request asks for: so many units, as the agent counts them, and the seconds that they may take."""

    units: int = 0
    seconds: float = 0.0


def hashing(size: int) -> Work:
    return Work(size, size / BOARD_BYTES_PER_S)


def receiving(size: int) -> Work:
    """Its bytes arrive, and are hashed."""
    return Work(2 * size, 2 * size / LINK_BYTES_PER_S)


def unpacking(wheels: Iterable[Path]) -> Work:
    """Wheels are hashed, unpacked, and what was unpacked is hashed."""
    units = 0
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            units += path.stat().st_size + 2 * sum(one.file_size for one in wheel.infolist())
    return Work(units, units / BOARD_BYTES_PER_S)


def looking(runtimes: int) -> Work:
    """Milliseconds of processor time."""
    return Work(int(1000 * LOOK_S) * runtimes, LOOK_S * runtimes)


class Patience:
    """With one request, whose signs of life it hears; times: every deadline is so many times as long."""

    def __init__(self, work: Work, times: float) -> None:
        self._work = work
        self._times = times
        self._did = 0
        self.goes_on()

    def goes_on(self) -> None:
        """It got on, as is seen here."""
        self._risen_s = time.monotonic()

    def hears(self, alive: Alive, waited_s: float = 0.0) -> None:
        """Raises Unfit where there is nothing to wait for any longer."""
        if alive.did > self._work.units:
            raise Unfit(f"it says that it did {alive.did} of {self._work.units}")
        if alive.did < self._did:
            raise Unfit(f"it says that it did {alive.did} of {self._work.units}, and before {self._did}")
        if alive.did > self._did:
            self._did = alive.did
            self.goes_on()
        stalled_s = time.monotonic() - self._risen_s
        if stalled_s > STALLED_S * self._times:
            raise Unfit(f"it has been at work on that for {duration(stalled_s)} without getting on")
        if waited_s > min(STALLED_S + self._work.seconds, REQUEST_MAX_S) * self._times:
            raise Unfit(f"it has been at work on that for {duration(waited_s)}, {self}")

    def __str__(self) -> str:
        return f"{self._did / self._work.units:.0%} done" if self._work.units else "nothing to be seen of it"


class Watchdog:
    """Hears what the session says of a quiet job: whom a signal holds is said, and not waited for endlessly."""

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
                f"{self._where}: its process {alive.stopped} is stopped (SIGSTOP); there, `kill -CONT {alive.stopped}` "
                "lets it go on"
            )
        if time.monotonic() - self._since > STOPPED_MAX_S:
            raise AgentError(
                self._where, f"the job's process {alive.stopped} has been stopped (SIGSTOP) for {STOPPED_MAX_S:.0f} s",
                f"There: kill -CONT {alive.stopped}; then deploy again to go on with the job",
            )  # fmt: skip
