"""Where the kernel counts this process's memory: in its group (cgroup), of either version, or for the whole device."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_agents.python import pressure

VMSTAT = "workingset_refault_anon 100\nworkingset_refault_file 900\noom_kill 7\n"
SECOND = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
FIRST = (
    "30 20 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "31 20 0:26 {inside} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
LIMITED = {
    "memory.stat": "anon 5\nworkingset_refault_anon 1\nworkingset_refault_file 2\nworkingset_activate_file 50\n",
    "memory.events": "oom 9\noom_kill 3\noom_group_kill 0\n",
    "memory.max": "60000000\n",
}
OLD = {
    "memory.stat": "workingset_refault_file 4\nhierarchical_memory_limit 50000000\ntotal_workingset_refault_file 40\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
}


def board(root: Path, groups: str, mounts: str, **folders: dict[str, str]) -> Path:
    """folders: the files of /sys/fs/cgroup/<name>, `__` for a slash."""
    own = root / "proc/self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(groups)
    (own / "mountinfo").write_text(mounts)
    (root / "proc/vmstat").write_text(VMSTAT)
    (root / "proc/meminfo").write_text("MemTotal:         900000 kB\nMemFree: 1 kB\n")
    for name, files in folders.items():
        folder = root / "sys/fs/cgroup" / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text)
    return root


DEVICE = (1000, 7, "this device has 921.6 MB")


@pytest.mark.parametrize(
    ("groups", "mounts", "folders", "told"),
    [
        ("0::/a/b\n", SECOND, {"a__b": LIMITED}, (3, 3, "may have 60.0 MB")),
        ("0::/a/b\n", SECOND, {"a": LIMITED, "a__b": {}}, (3, 3, "may have 60.0 MB")),
        ("0::/a/b\n", SECOND, {"a": LIMITED, "a__b": LIMITED | {"memory.max": "max"}}, (3, 3, "may have 60.0 MB")),
        ("0::/a\n", SECOND, {"a": LIMITED | {"memory.max": "max"}}, (3, 3, "this device has 921.6 MB")),
        ("0::/\n", SECOND, {"a": LIMITED}, DEVICE),
        ("0::/../b\n", SECOND, {"a": LIMITED}, DEVICE),
        ("3:cpu:/\n2:memory:/a\n0::/\n", FIRST.format(inside="/"), {"memory__a": OLD}, (4, 5, "may have 50.0 MB")),
        ("2:memory:/docker/7\n", FIRST.format(inside="/docker/7"), {"memory": OLD}, (4, 5, "may have 50.0 MB")),
        ("2:cpu:/a\n", FIRST.format(inside="/"), {"memory__a": OLD}, DEVICE),
    ],
    ids=["2", "2, counted above", "2, limited above", "2, no limit", "2, top", "2, unseen", "1", "1, docker", "none"],
)  # fmt: skip
def test_the_own_group_counts_before_the_device(
    tmp_path: Path, groups: str, mounts: str, folders: dict[str, dict[str, str]], told: tuple[int, int, str]
) -> None:
    root = str(board(tmp_path, groups, mounts, **folders))
    found = (pressure.refaults(root), pressure.kills(root), pressure.room(root))
    assert found[:2] == told[:2] and found[2].endswith(told[2])


def test_a_kernel_that_does_not_say_is_not_zero(tmp_path: Path) -> None:
    assert (pressure.refaults(str(tmp_path)), pressure.kills(str(tmp_path))) == (None, None)
