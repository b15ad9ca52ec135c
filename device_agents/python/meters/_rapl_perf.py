"""RAPL's counters through the kernel's perf events, for where powercap hides them (containers, root-only files).

Source: perf_event_open(2); /sys/bus/event_source/devices/power: `events/energy-pkg` is event=0x.., its `.scale` turns
counts into joules, `cpumask` names one processor of each package. The kernel counts in 64 bits: nothing wraps. Reading
a whole package needs kernel.perf_event_paranoid <= 0, or CAP_PERFMON.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
import time

from .. import facts
from . import Unavailable, counter_u_j

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

    from . import Joules

    Reading = tuple[float, dict[str, int]]

PMU = "sys/bus/event_source/devices/power"
EVENTS = {"cpu_package": "energy-pkg", "dram": "energy-ram"}
# As through powercap, whose registers they are.
PERIOD_S = 0.001
STEP_J = 61e-6
REMEDY = "sudo sysctl kernel.perf_event_paranoid=0 (until reboot)"

_SYSCALL_OF = {"x86_64": 298}
_CLOSE_ON_EXEC = 8
# struct perf_event_attr in its first version: type, size, config; all else is 0 and means: count.
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")


def open_counters() -> PerfRapl | None:
    """A meter, or None where the kernel has no such events. Raises Unavailable if they may not be read."""
    cpus = _cpus(facts.read(PMU + "/cpumask") or "")
    kind = facts.read(PMU + "/type")
    events = {scope: _event(name) for scope, name in EVENTS.items()}
    known = {scope: event for scope, event in events.items() if event}
    if not kind or not cpus or "cpu_package" not in known:
        return None
    counters = {}
    try:
        for scope, (config, _scale) in known.items():
            counters[scope] = [_open(int(kind), config, cpu) for cpu in cpus]
    except OSError as error:
        raise Unavailable("perf events refuse it too (%s); %s" % (error.strerror, REMEDY)) from None
    return PerfRapl(counters, {scope: scale for scope, (_config, scale) in known.items()})


def _event(name: str) -> tuple[int, float] | None:
    """(config, joules per count); None for an event that this processor does not have."""
    code = re.fullmatch(r"event=(0x[0-9a-f]+)", facts.read("%s/events/%s" % (PMU, name)) or "")
    scale = facts.read("%s/events/%s.scale" % (PMU, name))
    unit = facts.read("%s/events/%s.unit" % (PMU, name))
    return (int(code[1], 16), float(scale)) if code and scale and unit == "Joules" else None


def _cpus(text: str) -> list[int]:
    """Processor numbers, from "0,18" or "0-1"."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _open(kind: int, config: int, cpu: int) -> FileIO:
    """A file that counts from now on, for all processes on a processor's package. Raises OSError."""
    number = _SYSCALL_OF.get(platform.machine())
    if number is None:
        raise OSError(0, "supported on x86_64 only")
    attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, config, 0, 0, 0, 0, 0, 0, 0)
    library = ctypes.CDLL(None, use_errno=True)
    arguments = (attributes, ctypes.c_int(-1), ctypes.c_int(cpu), ctypes.c_int(-1), ctypes.c_ulong(_CLOSE_ON_EXEC))
    handle = library.syscall(ctypes.c_long(number), *arguments)
    if handle < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return os.fdopen(handle, "rb", buffering=0)


class PerfRapl:
    """counters: {scope: files, one for each package}; scales: {scope: joules per count}."""

    note = "through perf events, since powercap cannot be read"

    def __init__(self, counters: dict[str, list[FileIO]], scales: dict[str, float]) -> None:
        self._counters = counters
        self._scales = scales
        packages = len(counters["cpu_package"])
        self.instrument = {"sampling": "counter", "period_s": PERIOD_S, "device_id": "%d packages" % packages}
        self.age_s = PERIOD_S

    def read(self) -> Reading:
        try:
            return time.monotonic(), {scope: sum(map(_count, files)) for scope, files in self._counters.items()}
        except (OSError, struct.error) as error:
            raise Unavailable("RAPL cannot be read any more through perf: %s" % error) from None

    def joules(self, before: Reading, after: Reading) -> Joules:
        return {scope: (after[1][scope] - before[1][scope]) * scale for scope, scale in self._scales.items()}

    def u_joules(self, before: Reading, after: Reading) -> Joules:
        return {scope: counter_u_j(STEP_J) for scope in self.joules(before, after)}

    def close(self) -> None:
        for files in self._counters.values():
            for file in files:
                file.close()


def _count(file: FileIO) -> int:
    (count,) = struct.unpack("=Q", file.read(8))
    return int(count)
