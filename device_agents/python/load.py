"""How busy the machine was with anything else while latencies were measured."""

import os
import resource

from . import facts
from .device import MACHINE


def processor_seconds(subjects, device=MACHINE):
    """Processor time used so far, in s: by the whole machine, taken by its host (steal), and by this job.

    And for how long its clocks have had each of their values. Empty where the machine does not tell.
    """
    machine = device.machine_cpu_s()
    if not machine:
        return machine
    alive = [os.getpid(), *(subject.worker.pid for subject in subjects if subject.worker.pid)]
    return {"wall_s": device.now_s(), "own_s": own_seconds(alive), "clocks_s": device.clocks_s(), **machine}


def own_seconds(pids):
    """Processor time of processes; those that broke meanwhile are counted among the children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(map(facts.process_cpu_s, list(pids))) + ended.ru_utime + ended.ru_stime


def journal_load(before, subjects, journal, device=MACHINE):
    """before: what processor_seconds said then."""
    after = processor_seconds(subjects, device)
    if subjects and "busy_s" in before:
        spent = {name: after[name] - before[name] for name in ("wall_s", "own_s", "busy_s", "steal_s")}
        journal.write("load", **spent, clocks_s=_clocks_spent(before["clocks_s"], after["clocks_s"]))


def _clocks_spent(before, after):
    """Seconds at each clock, of each group of processors; a clock that was not used is left out."""
    spent = {}
    for group, times in after.items():
        gone = {hz: round(seconds - before.get(group, {}).get(hz, 0.0), 2) for hz, seconds in times.items()}
        spent[group] = {str(hz): seconds for hz, seconds in gone.items() if seconds > 0}
    return spent
