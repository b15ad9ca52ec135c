"""How busy the machine was with anything else while latencies were measured."""

from __future__ import annotations

import os
import resource

from . import facts
from .device import MACHINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .artifact_run import ArtifactRun
    from .device import Device
    from .journal import Notebook

    ClocksS = Mapping[str, Mapping[int, float]]


def processor_seconds(artifacts: Sequence[ArtifactRun], device: Device = MACHINE) -> dict[str, Any]:
    """Processor time so far, in seconds: of the whole machine, taken by its hypervisor (steal), and of this job.

    Also how long its clocks have had each of their values. Empty if the machine does not say.
    """
    machine = device.machine_cpu_s()
    if not machine:
        return {}
    workers = (artifact.worker for artifact in artifacts)
    alive = [os.getpid(), *(worker.pid for worker in workers if worker and worker.pid)]
    return {"wall_s": device.now_s(), "own_s": own_seconds(alive), "clocks_s": device.clocks_s(), **machine}


def own_seconds(pids: Iterable[int]) -> float:
    """Processor time of processes; those that broke meanwhile are counted among the children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(map(facts.process_cpu_s, list(pids))) + ended.ru_utime + ended.ru_stime


def journal_load(
    before: Mapping[str, Any], artifacts: Sequence[ArtifactRun], journal: Notebook, device: Device = MACHINE
) -> None:
    """before: what processor_seconds said then. artifacts: those that were measured meanwhile."""
    after = processor_seconds(artifacts, device)
    if artifacts and "busy_s" in before:
        spent = {name: after[name] - before[name] for name in ("wall_s", "own_s", "busy_s", "steal_s")}
        spent["clocks_s"] = _clocks_spent(before["clocks_s"], after["clocks_s"])
        journal.write("load", artifacts=[artifact.index for artifact in artifacts], load=spent)


def _clocks_spent(before: ClocksS, after: ClocksS) -> dict[str, dict[str, float]]:
    """Seconds at each clock, of each group of processors; clocks that were not used are left out."""
    spent = {}
    for group, times in after.items():
        gone = {hz: round(seconds - before.get(group, {}).get(hz, 0.0), 2) for hz, seconds in times.items()}
        spent[group] = {str(hz): seconds for hz, seconds in gone.items() if seconds > 0}
    return spent
