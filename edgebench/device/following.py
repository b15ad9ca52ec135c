"""Following a job on a device to its end, over as many connections as that needs."""

from __future__ import annotations

import re
import textwrap
import time
from datetime import UTC, datetime
from typing import Protocol

from edgebench.device import duration
from edgebench.device.agent import Agent, Silence
from edgebench.device.answers import TailEnd
from edgebench.device.connection import Connection
from edgebench.device.job_store import JobRequest, StoredJob
from edgebench.device.journal import Allowance, AnyLine, FailedLine, RoundLine, event
from edgebench.errors import LinkLost
from edgebench.progress import Progress, ProgressStep

# What is left is said again when it exceeds what was said by this factor and this many seconds,
LATER, LATER_S = 2, 30.0
# or has fallen to this share of it with at least this many seconds to go.
SOONER, SOONER_S = 0.5, 60.0
# Connections in a row that bring only a hello, before giving up: more than this many cut ones, or two silent ones.
LOST_IN_A_ROW, SILENCE_COUNTS = 9, 5


class Listener(Protocol):
    """Sees the journal as it comes, and may want to talk to the agent meanwhile: a meter on this machine.

    name: "" if it listens to nothing.
    """

    name: str

    def hears(self, entry: AnyLine) -> bool:
        """Whether this line is a reason to talk."""

    def talk(self, agent: Agent) -> None: ...


def follow(link: Connection, job: StoredJob, meter: Listener, progress: Progress, *, metered: bool) -> TailEnd:
    """Take in journal lines until the job has ended, over as many connections as that needs.

    metered: whether the device measures its own energy, as far as is known.
    """
    request = job.request
    files = "1 file" if len(request.artifacts) == 1 else f"{len(request.artifacts)} files"
    expected = duration.job_of(request, metered=metered, watched=bool(meter.name))
    for entry in job.entries:
        expected.hear(entry)
    more = " more" if job.lines else ""
    progress.say(f"Measuring {files} takes {expected.left()}{more}")
    stopping = False
    kept = (request.tests.get(one.name) for one in request.artifacts)
    # In base64, which zlib makes no longer than that.
    allowance = Allowance(_age_s(request), sum(1.5 * test.images * (64 + test.image_bytes) for test in kept if test))
    lost_in_a_row = 0
    with progress.step(f"Measuring {files} on {request.target.name}") as step:
        show = JobProgress(request, step, progress, expected)
        while True:
            try:
                for item in link.agent.tail(request.id, len(job.lines), allowance):
                    lost_in_a_row = 0
                    if not isinstance(item, TailEnd):
                        entry = job.append(item)
                        show(entry)
                        if meter.hears(entry):
                            link.agent.interrupt()
                    elif item.tail == "interrupted":
                        meter.talk(link.agent)
                    else:
                        return item
            except LinkLost as lost:
                lost_in_a_row += SILENCE_COUNTS if isinstance(lost, Silence) else 1
                if lost_in_a_row > LOST_IN_A_ROW:
                    raise
                progress.say(f"{lost.seen}. The job was running there; reconnecting ...")
                link.renew()
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True
                progress.say("Stopping after this round; what is measured is saved. Ctrl-C again: leave it running")
                link.renew()
                link.agent.stop(request.id)


# Where in a C++ library it was noticed, which OpenVINO says first.
_SOURCE_LINES = re.compile(r"(?:Exception from|Check '[^']*' failed at) \S+:\d+:\s*")


def _age_s(request: JobRequest) -> float:
    created = datetime.strptime(request.created, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    return (datetime.now(UTC) - created).total_seconds()


class JobProgress:
    """Turns journal lines into what the progress bar says, and corrects the expected time if that was wrong."""

    def __init__(
        self, request: JobRequest, step: ProgressStep, progress: Progress, expected: duration.JobEstimate
    ) -> None:
        self._request = request
        self._step = step
        self._progress = progress
        self._expected = expected
        self._until_s = time.monotonic() + expected.left().high_s

    def __call__(self, entry: AnyLine) -> None:
        self._expected.hear(entry)
        left = self._expected.left()
        self._keep_true(left)
        if isinstance(entry, FailedLine):
            name = self._request.artifacts[entry.artifact].name
            words = " ".join(_SOURCE_LINES.sub("", entry.outcome.reason).split())
            self._progress.say(f"{name} failed: {textwrap.shorten(words, 160, placeholder=' ...')}")
        what = f"round {entry.round.number + 1}" if isinstance(entry, RoundLine) else event(entry)
        self._step.advance(isinstance(entry, RoundLine), f"{what}, {left} left")

    def _keep_true(self, left: duration.Range) -> None:
        """Corrected only when it was far off: an estimate that goes up and down is of no use."""
        now_s = time.monotonic()
        said_s = max(0.0, self._until_s - now_s)
        if left.high_s > LATER * said_s + LATER_S:
            self._progress.say(f"This takes longer than expected: {left} more")
        elif self._expected.is_settled and SOONER_S < left.high_s < SOONER * said_s:
            self._progress.say(f"This takes {left} more")
        else:
            return
        self._until_s = now_s + left.high_s
