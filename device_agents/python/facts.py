"""What this device is and how it is doing right now: everything a reader needs to judge a number later.

A fact that cannot be read is left out. Nothing here needs root.
"""

from __future__ import annotations

import functools
import os
import platform
import struct
import time
from pathlib import Path

from . import firmware

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Tests point this at a made-up /sys and /proc.
ROOT = Path(os.environ.get("EDGEBENCH_SYSROOT", "/"))

_TICKS = os.sysconf("SC_CLK_TCK")
# A sysfs file holds at most one page.
MOST_BYTES = 4096

# What decides which INT8 and FP16 kernels a runtime can use.
_TELLING_FEATURES = {
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "neon", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2", "bf16",
}  # fmt: skip
_ARM_PARTS = {
    "0xb76": "ARM1176", "0xc07": "Cortex-A7", "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd42": "Cortex-A78AE", "0xd46": "Cortex-A510",
}  # fmt: skip


def read(path: str) -> str | None:
    """The text of a file under ROOT, stripped, or None."""
    try:
        return (ROOT / path).read_text(errors="replace").replace("\0", "\n").strip() or None
    except OSError:
        return None


def static_facts() -> dict[str, Any]:
    """What does not change while the device is up."""
    cpu, flags = _cpu()
    compatible = read("proc/device-tree/compatible") or ""
    return _known(
        {
            "model": read("proc/device-tree/model") or read("sys/class/dmi/id/product_name"),
            "emulated": "linux,dummy-virt" in compatible,
            "virtual_machine": "hypervisor" in flags,
            "cpu": cpu,
            "cpu_features": sorted(_TELLING_FEATURES & flags),
            "cores": len(os.sched_getaffinity(0)),
            "core_classes": core_classes(),
            "gpus": _gpus(),
            "ram_bytes": _meminfo().get("MemTotal"),
            "os": _os_name(),
            "kernel": platform.release(),
            "machine": _machine(),
            "libc": _libc(),
            "python": platform.python_version(),
            "clock_step_ns": clock_step_ns(),
            "clock_resolution_ns": clock_resolution_ns(),
        }
    )


def momentary_facts() -> dict[str, Any]:
    """What changes: read before and after every job."""
    governors = sorted({g for g in (_text(p / "scaling_governor") for p in _policies(ROOT)) if g})
    battery, supply_a = _power()
    return _known(
        {
            "governor": ",".join(governors) or None,
            "clock_hz": clock_hz(),
            "clock_max_hz": clock_limit_hz(),
            "temperature_c": temperature_c(),
            "throttled": throttled(),
            "on_battery": battery and battery == "Discharging",
            "charging": battery and battery == "Charging",
            "supply_a": supply_a,
            "load_1min": os.getloadavg()[0],
            "available_bytes": _meminfo().get("MemAvailable"),
            "uptime_s": _uptime_s(),
        }
    )


def temperature_c() -> float | None:
    """The hottest thermal zone or, without zones, the hottest hwmon sensor, in degrees Celsius; None without either."""
    for files in _sensors(ROOT):
        readings = [text for text in map(_text, files) if text and text.lstrip("-").isdigit()]
        if readings:
            return max(int(text) for text in readings) / 1000
    return None


@functools.lru_cache(maxsize=1)
def _sensors(root: Path) -> list[list[Path]]:
    """Thermal zones and hwmon sensors; searched for once, since the temperature is read after every round."""
    patterns = ("sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input")
    return [sorted(root.glob(pattern)) for pattern in patterns]


UNDER_VOLTAGE = 1


def throttled() -> int | None:
    """Throttle bits as in firmware.throttled(), with the kernel's own low-supply alarm; None without either."""
    bits, alarm = firmware.throttled(), _supply_alarm(ROOT)
    is_low = alarm is not None and _text(alarm) == "1"
    if bits is None:
        return None if alarm is None else int(is_low)
    return bits | UNDER_VOLTAGE if is_low else bits


@functools.lru_cache(maxsize=1)
def _supply_alarm(root: Path) -> Path | None:
    """The file in which raspberrypi-hwmon reports a supply below 4.63 V; None without that driver."""
    for name in sorted(root.glob("sys/class/hwmon/hwmon*/name")):
        if _text(name) == "rpi_volt":
            return name.with_name("in0_lcrit_alarm")
    return None


def clock_hz() -> int | None:
    """The highest current clock of all processors; None where the kernel does not report it."""
    return _highest(_policies(ROOT), "scaling_cur_freq")


def clock_limit_hz() -> int | None:
    """The highest clock allowed at the moment: heat and a weak supply lower it."""
    return _highest(_policies(ROOT), "scaling_max_freq")


def clocks_s() -> dict[str, dict[int, float]]:
    """For each group of processors {clock in Hz: seconds at it since boot}; empty where the kernel does not count."""
    found = {}
    for policy in _policies(ROOT):
        lines = (_text(policy / "stats/time_in_state") or "").splitlines()
        # cpufreq counts in hundredths of a second, whatever the kernel's own ticks are.
        times = {int(khz) * 1000: int(count) / 100 for khz, count in map(str.split, lines)}
        if times:
            found[policy.name] = times
    return found


# Of one class: firms sort the cores of one kind by how high they happen to clock, by a few percent.
_SAME_CLASS = 0.9


def core_classes() -> list[dict[str, Any]] | None:
    """[{"cpus", "speed"}] of the processors that this process may use, the fastest class first; None if the kernel does
    not tell their speeds.
    """
    for name, unit in (("cpu_capacity", 1), ("cpufreq/cpuinfo_max_freq", 1000)):
        speeds = {}
        for cpu in sorted(os.sched_getaffinity(0)):
            text = _text(ROOT / "sys/devices/system/cpu" / ("cpu%d" % cpu) / name)
            if text and text.isdigit() and int(text):
                speeds[cpu] = int(text) * unit
        if len(speeds) == len(os.sched_getaffinity(0)):
            return _classes(speeds)
    return None


def _classes(speeds: dict[int, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    last = 0
    for cpu in sorted(speeds, key=lambda cpu: (-speeds[cpu], cpu)):
        if not found or speeds[cpu] < _SAME_CLASS * last:
            found.append({"cpus": [], "speed": speeds[cpu]})
        found[-1]["cpus"].append(cpu)
        last = speeds[cpu]
    return [{**one, "cpus": sorted(one["cpus"])} for one in found]


@functools.lru_cache(maxsize=1)
def _policies(root: Path) -> list[Path]:
    cpus = root / "sys/devices/system/cpu"
    return sorted((cpus / "cpufreq").glob("policy*")) or sorted(cpus.glob("cpu[0-9]*/cpufreq"))


def _power() -> tuple[str | None, float | None]:
    """(the kernel's word for the battery's state, amperes that a Raspberry Pi 5's supply offers); None if not known."""
    supplies = sorted(ROOT.glob("sys/class/power_supply/*/type"))
    kinds = {_text(kind): kind.parent for kind in supplies}
    battery = _text(kinds["Battery"] / "status") if "Battery" in kinds else None
    try:
        (milliamperes,) = struct.unpack(">I", (ROOT / "proc/device-tree/chosen/power/max_current").read_bytes())
    except (OSError, struct.error):
        return battery, None
    return battery, milliamperes / 1000


def machine_cpu_s() -> dict[str, float]:
    """Processor seconds since boot that all processors were busy, and that a hypervisor took (steal)."""
    words = (read("proc/stat") or "").split("\n", 1)[0].split()
    if len(words) < 9:
        return {}
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) / _TICKS for word in words[1:9])
    return {"busy_s": user + nice + system + irq + softirq, "steal_s": steal}


def process_cpu_s(pid: int) -> float:
    """User and system seconds of one process so far; 0 if it is gone."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


@functools.lru_cache(maxsize=1)
def clock_step_ns() -> int:
    """What one timed empty call costs: the floor below which a single inference cannot be timed."""
    return sorted(_empty_calls_ns())[100] or 1


def clock_resolution_ns() -> int | None:
    """The smallest step observed between two readings of the clock."""
    values = sorted(set(_empty_calls_ns()))
    steps = [later - earlier for earlier, later in zip([0, *values], values) if later > earlier]
    return min(steps) if steps else None


def _empty_calls_ns() -> list[int]:
    clock = time.perf_counter_ns
    values = []
    for _ in range(200):
        start = clock()
        values.append(clock() - start)
    return values


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _text(path: Path | str) -> str | None:
    """The text of a kernel file, by three system calls: some are read every second while something is measured."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(handle, MOST_BYTES).decode(errors="replace").strip()
        finally:
            os.close(handle)
    except OSError:
        return None


def _highest(policies: Iterable[Path], name: str) -> int | None:
    readings = [text for text in (_text("%s/%s" % (policy, name)) for policy in policies) if text and text.isdigit()]
    return max(int(text) for text in readings) * 1000 if readings else None


def has_half_arithmetic() -> bool:
    """Whether an Arm processor computes in float16 (ARMv8.2's extension); those of PCs only convert it."""
    return "asimdhp" in _cpu()[1]


def _cpu() -> tuple[str | None, set[str]]:
    """(name, features)"""
    fields: dict[str, str] = {}
    for line in (read("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    part = fields.get("CPU part")
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    # The part first: 32-bit ARM kernels have a model name too, which does not identify the processor.
    return _ARM_PARTS.get(part or "") or fields.get("model name") or part, flags


def _gpus() -> list[str]:
    """Names of the NVIDIA GPUs that the driver lists; needs no library."""
    names = []
    for path in sorted(ROOT.glob("proc/driver/nvidia/gpus/*/information")):
        for line in (_text(path) or "").splitlines():
            if line.startswith("Model:"):
                names.append(line.partition(":")[2].strip())
    return names or _tegra()


def _tegra() -> list[str]:
    """A Jetson's own GPU, which that driver does not list."""
    chips = [one.partition(",")[2] for one in (read("proc/device-tree/compatible") or "").splitlines()]
    return ["Tegra %s" % chip[len("tegra") :] for chip in chips if chip.startswith("tegra")][:1]


def _meminfo() -> dict[str, int]:
    sizes = {}
    for line in (read("proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            sizes[key] = int(words[0]) * 1024
    return sizes


def _machine() -> str:
    """The machine that wheels must match: a 32-bit userland on a 64-bit kernel reports aarch64."""
    machine = platform.machine()
    if machine == "aarch64" and struct.calcsize("P") == 4:
        return "armv7l"
    return machine


def _libc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None


def _os_name() -> str | None:
    for line in (read("etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return None


def _uptime_s() -> float | None:
    text = read("proc/uptime")
    return float(text.split()[0]) if text else None
