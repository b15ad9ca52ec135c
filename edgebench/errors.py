"""What a user can cause or fix.

UserError                 printed as: where, what was seen, what to do next; exit code 1
├── UnknownName           a name that is not in the listing, with "did you mean"
├── BadFile               a file whose content is not what it should be
├── MissingPackage        an optional library is not installed
└── TargetError           something between this machine and the device
    ├── Unreachable       the device does not answer, or refuses access
    ├── LinkLost          the device answered and then stopped; a retry may work
    └── AgentError        the agent's answer breaks the protocol

Everything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can fix.

    where: the file, key, target or argument; seen: what was found there; remedy: what to do next.
    """

    def __init__(self, where: str, seen: str, remedy: str) -> None:
        super().__init__(f"{where}: {seen}. {remedy}")
        self.where = where
        self.seen = seen
        self.remedy = remedy


class UnknownName(UserError):
    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.known = sorted(set(known))
        close = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        remedy = f"Did you mean '{close[0]}'? " if close else ""
        super().__init__(kind, f"there is no '{name}'", f"{remedy}Known: {', '.join(self.known) or 'none'}")


class BadFile(UserError):
    pass


class MissingPackage(UserError):
    def __init__(self, where: str, package: str, extra: str) -> None:
        super().__init__(where, f"the package '{package}' is not installed", f"pip install 'edgebench[{extra}]'")


class TargetError(UserError):
    pass


class Unreachable(TargetError):
    pass


class LinkLost(TargetError):
    pass


class AgentError(TargetError):
    pass
