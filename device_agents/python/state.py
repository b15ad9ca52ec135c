"""What became of a job's processes: there, stopped, gone with a restart of the device, for want of memory or disk."""

from __future__ import annotations

from pathlib import Path

from . import facts


def boot_id() -> str:
    """Which start of the device this is; "" where it is not told."""
    return facts.read("proc/sys/kernel/random/boot_id") or ""


def start_time(pid: int | str) -> str:
    """When a process began, in the kernel's ticks; with its number it is one process. "gone" if it is not there."""
    fields = _stat(pid)
    return "gone" if not fields or fields[0] == "Z" else fields[19]


def describe(pid: int) -> str:
    """What `pid` in a job's folder says: by it a later look knows the process again, and what has happened since."""
    return "%d %s %s %d" % (pid, start_time(pid), boot_id() or "-", _memory_kills())


def stopped(pid: int | None) -> int | None:
    """The number of the job's process, or of one of its workers, that a signal holds; None if none is held."""
    if pid is None:
        return None
    try:
        workers = Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()
    except OSError:
        workers = []
    held = [int(one) for one in [str(pid), *workers] if (_stat(one) or "-")[0] == "T"]
    return held[0] if held else None


def why_ended(folder: Path, free_bytes: int) -> str:
    """Why a job's process may be gone without a last line; "" if nothing tells."""
    try:
        _, _, boot, kills = (folder / "pid").read_text().split()
    except (OSError, ValueError):
        return ""
    if boot not in ("-", boot_id()):
        return "the device was restarted while the job ran"
    if free_bytes < 1 << 20:
        return "the disk is full: %.1f MB are free at %s" % (free_bytes / 1e6, folder.parents[1])
    if _memory_kills() > int(kills):
        return "the kernel ended a process for want of memory meanwhile"
    return ""


def _memory_kills() -> int:
    for line in (facts.read("proc/vmstat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0


def _stat(pid: int | str) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on; None if there is no such process."""
    try:
        return Path("/proc/%s/stat" % pid).read_text().rpartition(")")[2].split()
    except OSError:
        return None
