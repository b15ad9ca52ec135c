"""What this device is and how it is doing right now: everything a reader needs to judge a number later.

A fact that cannot be read is left out. Nothing here needs root.
"""

import functools
import os
import platform
import shutil
import struct
import subprocess
import time
from pathlib import Path

# Tests put a made-up /sys and /proc here.
ROOT = Path(os.environ.get("EDGEBENCH_SYSROOT", "/"))

_TICKS = os.sysconf("SC_CLK_TCK")

# What decides which INT8 and FP16 kernels a runtime can take.
_TELLING_FEATURES = {
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "neon", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2", "bf16",
}  # fmt: skip
_ARM_PARTS = {
    "0xb76": "ARM1176", "0xc07": "Cortex-A7", "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd42": "Cortex-A78AE", "0xd46": "Cortex-A510",
}  # fmt: skip


def read(path):
    """The text of a file under ROOT, stripped, or None."""
    try:
        return (ROOT / path).read_text(errors="replace").replace("\0", "\n").strip() or None
    except OSError:
        return None


def static_facts():
    """What does not change while the device is up."""
    cpu = _cpu()
    compatible = read("proc/device-tree/compatible") or ""
    return _known(
        {
            "model": read("proc/device-tree/model") or read("sys/class/dmi/id/product_name"),
            "emulated": "linux,dummy-virt" in compatible,
            "virtual_machine": "hypervisor" in cpu["flags"],
            "cpu": cpu["name"],
            "cpu_features": sorted(_TELLING_FEATURES & cpu["flags"]),
            "cores": len(os.sched_getaffinity(0)),
            "gpus": _gpus(),
            "ram_bytes": _meminfo().get("MemTotal"),
            "os": _os_name(),
            "kernel": platform.release(),
            "machine": _machine(),
            "libc": _libc(),
            "python": platform.python_version(),
            "clock_step_ns": clock_step_ns(),
        }
    )


def momentary_facts():
    """What changes: read before and after every job."""
    policies = sorted((ROOT / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    policies = policies or sorted((ROOT / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    governors = sorted({g for g in (_text(p / "scaling_governor") for p in policies) if g})
    return _known(
        {
            "governor": ",".join(governors) or None,
            "clock_hz": _highest(policies, "scaling_cur_freq"),
            "clock_max_hz": _highest(policies, "scaling_max_freq"),
            "temperature_c": temperature_c(),
            "throttled": throttled(),
            "load_1min": os.getloadavg()[0],
            "available_bytes": _meminfo().get("MemAvailable"),
            "uptime_s": _uptime_s(),
        }
    )


def temperature_c():
    """The hottest thermal zone or, without zones, the hottest hwmon sensor, in degrees Celsius; None without either."""
    for files in _sensors(ROOT):
        readings = [text for text in map(_text, files) if text and text.lstrip("-").isdigit()]
        if readings:
            return max(int(text) for text in readings) / 1000
    return None


@functools.lru_cache(maxsize=1)
def _sensors(root):
    """Thermal zones and hwmon sensors; looked for once, as a temperature is read after every round."""
    patterns = ("sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input")
    return [sorted(root.glob(pattern)) for pattern in patterns]


def throttled():
    """Raspberry Pi's firmware bits (vcgencmd get_throttled): 0 under-voltage now, 1 clock capped, 2 throttled,
    3 soft temperature limit; 16-19 the same since boot. None elsewhere.
    """
    if not shutil.which("vcgencmd"):
        return None
    try:
        answer = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
        return int(answer.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def machine_cpu_s():
    """Seconds that all processors together have been busy, and that a hypervisor took (steal), since boot."""
    words = (read("proc/stat") or "").split("\n", 1)[0].split()
    if len(words) < 9:
        return {}
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) / _TICKS for word in words[1:9])
    return {"busy_s": user + nice + system + irq + softirq, "steal_s": steal}


def process_cpu_s(pid):
    """User and system seconds of one process so far; 0 if it is gone."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def clock_step_ns():
    """What one timed empty call costs: the floor below which a single inference cannot be timed."""
    clock = time.perf_counter_ns
    steps = []
    for _ in range(200):
        start = clock()
        steps.append(clock() - start)
    return sorted(steps)[100] or 1


def _known(facts):
    return {name: value for name, value in facts.items() if value is not None}


def _text(path):
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _highest(policies, name):
    readings = [text for text in (_text(policy / name) for policy in policies) if text and text.isdigit()]
    return max(int(text) for text in readings) * 1000 if readings else None


def _cpu():
    fields = {}
    for line in (read("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    part = fields.get("CPU part")
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    # The part first: 32-bit ARM kernels have a model name as well, and it names no processor.
    return {"name": _ARM_PARTS.get(part) or fields.get("model name") or part, "flags": flags}


def _gpus():
    """Names of NVIDIA GPUs that the driver shows; no library needed."""
    names = []
    for path in sorted(ROOT.glob("proc/driver/nvidia/gpus/*/information")):
        for line in (_text(path) or "").splitlines():
            if line.startswith("Model:"):
                names.append(line.partition(":")[2].strip())
    return names


def _meminfo():
    sizes = {}
    for line in (read("proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            sizes[key] = int(words[0]) * 1024
    return sizes


def _machine():
    """The machine that wheels must fit: a 32-bit userland on a 64-bit kernel calls itself aarch64."""
    machine = platform.machine()
    if machine == "aarch64" and struct.calcsize("P") == 4:
        return "armv7l"
    return machine


def _libc():
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None


def _os_name():
    for line in (read("etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return None


def _uptime_s():
    text = read("proc/uptime")
    return float(text.split()[0]) if text else None
