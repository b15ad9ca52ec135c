"""Whether memory is short: what the kernel counts for this process's group (cgroup), or else for the whole device.

The group's own counts come first: what happens to other programs on the device says nothing about this one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

REFAULTS = ("workingset_refault", "workingset_refault_file", "workingset_refault_anon")


def refaults(root: str = "/") -> int | None:
    """Pages that were read again soon after they were evicted; None where the kernel does not count them."""
    group = _group(Path(root))
    for path in ([group / "memory.stat"] if group else []) + [Path(root, "proc/vmstat")]:
        counts = [count for name, count in _counts(path).items() if name in REFAULTS]
        if counts:
            return sum(counts)
    return None


def kills(root: str = "/") -> int | None:
    """Processes that the kernel killed because memory ran out; None where it does not count them."""
    group = _group(Path(root))
    names = [group / "memory.events", group / "memory.oom_control"] if group else []
    for path in [*names, Path(root, "proc/vmstat")]:
        count = _counts(path).get("oom_kill")
        if count is not None:
            return count
    return None


def room(root: str = "/") -> str:
    """How much memory there is for a process like this one: the group's limit, or what the device has."""
    device = _counts(Path(root, "proc/meminfo")).get("MemTotal:", 0) * 1024
    limit = _limit(Path(root))
    if limit is not None and (limit < device or not device):
        return "its group of processes (cgroup) may have %.1f MB" % (limit / 1e6)
    return "this device has %.1f MB" % (device / 1e6)


def _limit(root: Path) -> int | None:
    """The lowest limit of the group and its parents, in bytes; None without one."""
    group = _group(root)
    if group is None:
        return None
    found = [_counts(group / "memory.stat").get("hierarchical_memory_limit")]
    for folder in [group, *group.parents]:
        with contextlib.suppress(OSError, ValueError):  # none there, or "max"
            found.append(int((folder / "memory.max").read_text()))
    return min((limit for limit in found if limit is not None), default=None)


def _group(root: Path) -> Path | None:
    """The folder in which the kernel counts this process's memory; None if there is none, or it is not visible."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    # "4:memory:/a/b" in version 1, "0::/a/b" in version 2.
    paths = {kind: path for _, kind, path in (line.split(":", 2) for line in lines)}
    first = next((path for kind, path in paths.items() if "memory" in kind.split(",")), None)
    for line in mounts:
        before, _, after = line.partition(" - ")
        inside, at = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup" and first is not None and "memory" in options.split(","):
            path = first
        elif kind == "cgroup2" and first is None and "" in paths:
            path = paths[""]
        else:
            continue
        return _counted(Path(str(root) + at), os.path.relpath(path, inside))
    return None


def _counted(mount: Path, path: str) -> Path | None:
    """In version 2 a group may leave the counting to its parent."""
    if path.startswith(".."):
        return None
    folder = mount / path
    while not (folder / "memory.stat").is_file():
        if folder == mount:
            return None
        folder = folder.parent
    return folder


def _counts(path: Path) -> dict[str, int]:
    """The lines `name 123` of a file, with or without a unit; empty where it cannot be read."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}
