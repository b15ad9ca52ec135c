"""What an agent answers, as far as it is no journal: the types that its answers have to fit."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class RuntimeOnDevice(msgspec.Struct, frozen=True):
    """What a probe found: the runtime in `folder` ("" is the device's own), or the problem."""

    folder: str = ""
    facts: dict[str, str] = {}
    problem: str = ""


class Tail(msgspec.Struct, frozen=True):
    """Why the agent stopped sending lines. died: the job's process is gone without a last line; reason: if known."""

    tail: Literal["ended", "died", "interrupted"]
    stderr: list[str] = []
    reason: str = ""


class Holder(msgspec.Struct, frozen=True):
    """Whose job the device measures: who started it, from where, how long ago, and its artifacts."""

    owner: str = ""
    age_s: float = 0.0
    runs: list[str] = []

    def __str__(self) -> str:
        what = ", ".join(self.runs[:3]) + (" ..." if len(self.runs) > 3 else "")
        return f"{self.owner or 'somebody'} has been measuring {what or 'there'} for {duration(self.age_s)}"


class Started(msgspec.Struct, frozen=True):
    started: bool
    busy: Holder | None = None


class Clock(msgspec.Struct, frozen=True):
    """When a question arrived there and when its answer left, on the device's monotonic clock."""

    received_ns: Nanoseconds
    sent_ns: Nanoseconds


class Alive(msgspec.Struct, frozen=True):
    """did: how much of a request is done; stopped: the number of a process of the job that a signal holds, if any."""

    did: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    stopped: int | None = None


class Ready(msgspec.Struct, frozen=True):
    """So many bytes of a file are there already."""

    have: int


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
