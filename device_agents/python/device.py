"""What a job knows of the device that it measures: its clock, its meters and how it is doing.

It is this machine, unless the job's runtime brings a device of its own (`open_device`, as `simulated` does).
"""

from __future__ import annotations

import time

from . import android, facts, meters, runtimes
from .watch import DeviceWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, Protocol

    from .artifact_run import ArtifactRun
    from .watch import RoundWatch

    class Device(Protocol):
        """What is measured. Whatever it cannot read is None, and a fact of that kind is left out."""

        @property
        def phone(self) -> android.AndroidShell | None:
            """The shell of an Android phone, if it is one."""

        def now_s(self) -> float: ...
        def sleep(self, seconds: float) -> None: ...
        def static_facts(self) -> dict[str, Any]: ...
        def momentary_facts(self) -> dict[str, Any]: ...
        def clock_step_ns(self) -> int: ...
        def temperature_c(self) -> float | None: ...
        def throttled(self) -> int | None: ...
        def clock_hz(self) -> int | None: ...
        def clock_limit_hz(self) -> int | None: ...
        def clocks_s(self) -> dict[str, dict[int, float]]: ...
        def watch(self) -> RoundWatch: ...
        def machine_cpu_s(self) -> dict[str, float]: ...
        def has_meter(self, name: str) -> bool:
            """Whether a meter of this name is worth a look."""


class LocalMachine:
    """The machine that the agent runs on."""

    def __init__(self) -> None:
        self.phone = android.own_shell()

    def now_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def static_facts(self) -> dict[str, Any]:
        return {**facts.static_facts(), **(self.phone.static_facts() if self.phone else {})}

    def momentary_facts(self) -> dict[str, Any]:
        return {**facts.momentary_facts(), **(self.phone.momentary_facts() if self.phone else {})}

    def clock_step_ns(self) -> int:
        return facts.clock_step_ns()

    def temperature_c(self) -> float | None:
        return self.phone.temperature_c() if self.phone else facts.temperature_c()

    def throttled(self) -> int | None:
        return self.phone.throttled() if self.phone else facts.throttled()

    def clock_hz(self) -> int | None:
        return facts.clock_hz()

    def clock_limit_hz(self) -> int | None:
        return facts.clock_limit_hz()

    def clocks_s(self) -> dict[str, dict[int, float]]:
        return facts.clocks_s()

    def watch(self) -> DeviceWatch:
        """Looks at it while rounds are timed (watch.py)."""
        return DeviceWatch(self)

    def machine_cpu_s(self) -> dict[str, float]:
        return facts.machine_cpu_s()

    def has_meter(self, name: str) -> bool:
        return name != "simulated" and (self.phone is not None or not name.startswith("android"))


MACHINE = LocalMachine()


def lasting_facts(device: Device) -> dict[str, Any]:
    """What stays as it is while the device is up, and which meters can be read. Finding out opens all of them."""
    return {"meters": meters.probe(device.has_meter, device.phone), **device.static_facts()}


def device_of(artifacts: Sequence[ArtifactRun], folder: Path) -> Device:
    """The device of a job's artifacts. Raises ValueError if some run on this machine and some on another device."""
    modules = {artifact.spec["runtime"]: runtimes.module(artifact.spec["runtime"]) for artifact in artifacts}
    bringing = [name for name, module in modules.items() if hasattr(module, "open_device")]
    if not bringing:
        return MACHINE
    if len(modules) > 1:
        raise ValueError("%s and %s cannot share a job" % (bringing[0], (modules.keys() - bringing[:1]).pop()))
    device: Device = modules[bringing[0]].open_device([artifact.path for artifact in artifacts], folder)
    return device
