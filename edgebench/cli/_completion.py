"""Names that the shell completes. Nothing that goes wrong here may disturb a command line that is being typed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def targets(incomplete: str) -> list[str]:
    from edgebench.errors import UserError
    from edgebench.schema import targets as targets_

    with suppress(UserError, OSError):
        return _beginning(targets_.load_all(targets_.find_file(None)), incomplete)
    return []


def formats(incomplete: str) -> list[str]:
    """The last of several, separated by commas."""
    from typing import get_args

    import exporters

    known = [name for kind in get_args(exporters.SourceKind) for name in exporters.formats(kind)]
    return _listed(known, incomplete)


def runtimes(incomplete: str) -> list[str]:
    """The same."""
    from edgebench import plugins

    known = [name for name in plugins.names("device_agents.python.runtimes") if not name.endswith(("-web", "-webgpu"))]
    return _listed([*known, "all"], incomplete)


def plans(incomplete: str) -> list[str]:
    from edgebench.schema import plan

    return _beginning([*(one.preset for one in plan.PRESETS), "duty:"], incomplete)


def measured(incomplete: str) -> list[str]:
    """Targets with records in results/."""
    with suppress(OSError):
        return _beginning((path.name for path in Path("results").iterdir() if path.is_dir()), incomplete)
    return []


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _listed(known: list[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    free = [name for name in dict.fromkeys(known) if name not in taken]
    return [before + comma + name for name in _beginning(free, last)]
