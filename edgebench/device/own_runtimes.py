"""A user's own runtimes: a folder of files that join those in device_agents/python/runtimes, here and in the agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device_agents.python import runtimes
from edgebench.errors import BadFile


def join(folder: str) -> None:
    """From now on its runtimes can be named, and are part of the agent. Raises BadFile."""
    path = Path(folder).expanduser().absolute()
    if str(path) in runtimes.__path__:
        return
    files = sorted(path.glob("*.py"))
    if not files:
        seen = "there is no .py file in it" if path.is_dir() else "there is no such folder"
        raise BadFile(str(path), seen, "Correct `own_runtimes` in targets.yaml")
    taken = {one.name for known in runtimes.__path__ for one in Path(known).glob("*.py")}
    for file in files:
        if file.name in taken:
            raise BadFile(str(file), "there is another runtime of this name", "Rename it")
    runtimes.__path__.append(str(path))


def files() -> Iterator[Path]:
    for folder in runtimes.__path__[1:]:
        yield from sorted(Path(folder).glob("*.py"))
