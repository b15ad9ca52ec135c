"""Following a job on a device to its end, over as many connections as that needs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from edgebench.device import duration, journal
from edgebench.device.agent import Agent, Silence
from edgebench.device.answers import Tail
from edgebench.device.connection import Connection
from edgebench.device.job_store import OpenJob, Request
from edgebench.errors import LinkLost
from edgebench.progress import Progress, ProgressStep

# More than so many times what was said, and so many seconds, are worth another line.
LATER, LATER_S = 2, 30.0
# Below this share of what was said as well, if so many seconds are left.
SOONER, SOONER_S = 0.5, 60.0
# Connections that bring a hello and nothing else: so many that are cut, or two that stay and are silent.
LOST_IN_A_ROW, SILENCE_COUNTS = 9, 5


class Listener(Protocol):
    """What sees the journal as it comes and may want a word with the agent meanwhile: a meter on this machine.

    name: "" where it listens to nothing.
    """

    name: str

    def hears(self, line: bytes) -> bool:
        """Whether this line is a reason to talk."""

    def talk(self, agent: Agent) -> None: ...


def follow(link: Connection, job: OpenJob, meter: Listener, progress: Progress, *, metered: bool) -> Tail:
    """Take in journal lines until the job has ended, over as many connections as it needs.

    metered: whether the device sees its own energy windows, as far as it is known.
    """
    request = job.request
    files = "1 file" if len(request.artifacts) == 1 else f"{len(request.artifacts)} files"
    expected = duration.job_of(request, metered=metered, watched=bool(meter.name))
    for line in job.lines:
        expected.hear(journal.glance(line))
    more = " more" if job.lines else ""
    progress.say(f"Measuring {files} takes {expected.left()}{more}")
    stopping = False
    allowance = journal.Allowance(_age_s(request))
    lost_in_a_row = 0
    with progress.step(f"Measuring {files} on {request.target.name}") as step:
        watch = Watch(request, step, progress, expected)
        while True:
            try:
                for item in link.agent.tail(request.id, len(job.lines), allowance):
                    lost_in_a_row = 0
                    if not isinstance(item, Tail):
                        job.append(item)
                        watch(item)
                        if meter.hears(item):
                            link.agent.interrupt()
                    elif item.tail == "interrupted":
                        meter.talk(link.agent)
                    else:
                        return item
            except LinkLost as lost:
                lost_in_a_row += SILENCE_COUNTS if isinstance(lost, Silence) else 1
                if lost_in_a_row > LOST_IN_A_ROW:
                    raise
                progress.say(f"{lost.seen}. The job was running there; connecting again ...")
                link.renew()
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True
                progress.say("Stopping after this round; what is measured is saved. Ctrl-C again: leave it running")
                link.renew()
                link.agent.stop(request.id)


def _age_s(request: Request) -> float:
    created = datetime.strptime(request.created, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    return (datetime.now(UTC) - created).total_seconds()


class Watch:
    """Turns journal lines into what the progress bar says, and says anew how long it takes when that was wrong."""

    def __init__(self, request: Request, step: ProgressStep, progress: Progress, expected: duration.Job) -> None:
        self._request = request
        self._step = step
        self._progress = progress
        self._expected = expected
        self._until_s = time.monotonic() + expected.left().high_s

    def __call__(self, line: bytes) -> None:
        entry = journal.glance(line)
        self._expected.hear(entry)
        left = self._expected.left()
        self._keep_true(left)
        if entry.event == "failed" and 0 <= entry.artifact < len(self._request.artifacts):
            name = self._request.artifacts[entry.artifact].name
            self._progress.say(f"{name} failed: {entry.reason[:200]}")
        what = f"round {entry.round + 1}" if entry.event == "round" else entry.event
        self._step.advance(entry.event == "round", f"{what}, {left} left")

    def _keep_true(self, left: duration.Range) -> None:
        """Said anew only when what was said was far off: an estimate that goes up and down is none."""
        now_s = time.monotonic()
        said_s = max(0.0, self._until_s - now_s)
        if left.high_s > LATER * said_s + LATER_S:
            self._progress.say(f"It takes longer than was said: {left} more")
        elif self._expected.is_settled and SOONER_S < left.high_s < SOONER * said_s:
            self._progress.say(f"It takes {left} more")
        else:
            return
        self._until_s = now_s + left.high_s
