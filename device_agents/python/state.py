"""What became of a job's processes: running, stopped, or ended by a reboot, lack of memory or a full disk."""

from __future__ import annotations

from pathlib import Path

from . import facts


def boot_id() -> str:
    """The kernel's id of this boot; "" where it has none."""
    return facts.read("proc/sys/kernel/random/boot_id") or ""


def start_time(pid: int | str) -> str:
    """When a process started, in kernel ticks: with the pid this identifies it. "gone" if it has ended."""
    fields = _stat(pid)
    return "gone" if not fields or fields[0] == "Z" else fields[19]


def describe(pid: int) -> str:
    """The content of `pid` in a job's folder, which later identifies the process and shows what happened since."""
    return "%d %s %s %d" % (pid, start_time(pid), boot_id() or "-", _memory_kills())


def stopped(pid: int | None) -> int | None:
    """The pid of the job's process, or of one of its workers, that a signal has stopped; None if none is."""
    if pid is None:
        return None
    try:
        workers = Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()
    except OSError:
        workers = []
    held = [int(one) for one in [str(pid), *workers] if (_stat(one) or "-")[0] == "T"]
    return held[0] if held else None


def why_ended(folder: Path, free_bytes: int) -> str:
    """Why a job's process may have ended without a last line; "" if unknown."""
    try:
        _, _, boot, kills = (folder / "pid").read_text().split()
    except (OSError, ValueError):
        return ""
    if boot not in ("-", boot_id()):
        return "the device was restarted while the job ran"
    if free_bytes < 1 << 20:
        return "the disk is full: %.1f MB are free at %s" % (free_bytes / 1e6, folder.parents[1])
    if _memory_kills() > int(kills):
        return "the kernel killed a process meanwhile because memory ran out"
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
