"""What a job knows of the device that it measures: its clock, its meters and how it is doing.

It is this machine, unless the job's runtime brings a device of its own (`open_device`, as `simulated` does).
"""

import time

from . import android, facts, runtimes
from .watch import Watch


class Machine:
    """The machine that the agent runs on."""

    def now_s(self):
        return time.monotonic()

    def sleep(self, seconds):
        time.sleep(seconds)

    def static_facts(self):
        return {**facts.static_facts(), **(android.static_facts() if android.is_here() else {})}

    def momentary_facts(self):
        return {**facts.momentary_facts(), **(android.momentary_facts() if android.is_here() else {})}

    def clock_step_ns(self):
        return facts.clock_step_ns()

    def temperature_c(self):
        return android.thermal_now().get("temperature_c") if android.is_here() else facts.temperature_c()

    def throttled(self):
        return android.thermal_now().get("throttled") if android.is_here() else facts.throttled()

    def clock_hz(self):
        return facts.clock_hz()

    def clock_limit_hz(self):
        return facts.clock_limit_hz()

    def clocks_s(self):
        return facts.clocks_s()

    def watch(self):
        """Looks at it while rounds are timed (watch.py)."""
        return Watch(self)

    def machine_cpu_s(self):
        return facts.machine_cpu_s()

    def has_meter(self, name):
        return name != "simulated" and (android.is_here() or not name.startswith("android"))


MACHINE = Machine()


def device_of(subjects, folder):
    """The device of a job's subjects. Raises ValueError if some run on this machine and some on another device."""
    modules = {subject.spec["runtime"]: runtimes.module(subject.spec["runtime"]) for subject in subjects}
    bringing = [name for name, module in modules.items() if hasattr(module, "open_device")]
    if not bringing:
        return MACHINE
    if len(modules) > 1:
        raise ValueError("%s and %s cannot share a job" % (bringing[0], (modules.keys() - bringing[:1]).pop()))
    return modules[bringing[0]].open_device([subject.path for subject in subjects], folder)
