"""A board that is short of memory: this machine's agent in a group of processes (cgroup) with a limit of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
# (folder under which groups are made, the file that limits one's memory, the one that limits memory and swap)
VERSIONS = (
    (ROOT / "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    (ROOT, "memory.max", "memory.swap.max"),
)


@dataclass
class Group:
    """python: a target's `python`, which joins the group before it is Python."""

    folder: Path
    python: Path
    limit_file: str
    swap_file: str

    def limit(self, size: int) -> None:
        """Without swap, so that the result is the same on machines that have some."""
        (self.folder / self.limit_file).write_text(str(size))
        swap = self.folder / self.swap_file
        if swap.exists():
            swap.write_text(str(size) if "memsw" in self.swap_file else "0")


@contextmanager
def group(folder: Path) -> Iterator[Group]:
    """folder: for the `python`. Skips the test where no such group can be made."""
    made = _make()
    try:
        python = folder / "python-in-a-group"
        python.write_text(f'#!/bin/sh\necho $$ > {made[0]}/cgroup.procs && exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        yield Group(made[0], python, *made[1:])
    finally:
        _remove(made[0])


def _make() -> tuple[Path, str, str]:
    for parent, limit_file, swap_file in VERSIONS:
        folder = parent / f"edgebench-{uuid.uuid4().hex[:8]}"
        try:
            if (parent / "cgroup.subtree_control").exists():
                (parent / "cgroup.subtree_control").write_text("+memory")
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit_file).exists():
            return folder, limit_file, swap_file
        folder.rmdir()
    pytest.skip("this system does not let memory be limited")


def _remove(folder: Path) -> None:
    """Including the processes that a failed test left running."""
    while left := (folder / "cgroup.procs").read_text().split():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.05)
    folder.rmdir()
