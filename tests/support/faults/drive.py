"""Deploys to a hostile agent in a separate process, and prints the outcome, its peak memory and the time.

python -m tests.support.faults.drive PYTHON MODEL RESULTS [NAME=SECONDS ...]       deadlines, instead of the real ones
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from edgebench import deploy
from edgebench.device import agent, arrival, connection, following, patience, wire
from edgebench.errors import UserError
from edgebench.progress import Silent
from edgebench.schema import plan
from edgebench.schema.targets import Target

_DEADLINES = {
    "SILENCE_SAID_S": wire, "SILENCE_MAX_S": wire, "JOURNAL_SILENCE_MAX_S": wire, "HELLO_MAX_S": arrival,
    "RECONNECT_S": connection, "RECONNECT_PAUSE_S": connection, "STOPPED_MAX_S": patience,
    "STALLED_S": patience, "REQUEST_MAX_S": patience,
    "SAY_AGAIN_S": agent, "LOST_IN_A_ROW": following,
}  # fmt: skip


class Aloud(Silent):
    def say(self, line: str) -> None:
        print(json.dumps({"said": line}), flush=True)


def main(python: str, model: str, results: str, *deadlines: str) -> None:
    for given in deadlines:
        name, _, seconds = given.partition("=")
        setattr(_DEADLINES[name], name, float(seconds))
    before = high_water_mb()
    started = time.monotonic()
    target = Target(name="hostile", transport="local", python=python, workdir=results + "-agent")
    try:
        one, *_ = deploy.deploy(
            target, deploy.artifacts_at([Path(model)]), plan.named("quick"), Path(results), progress=Aloud()
        )
        seen = f"record: {one.outcome}"
    except UserError as error:
        seen = str(error)
    used = high_water_mb() - before
    print(json.dumps({"end": seen, "seconds": time.monotonic() - started, "megabytes": used}))


def high_water_mb() -> float:
    """Of this process: the value of getrusage includes the parent."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
