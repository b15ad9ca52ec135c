"""The types of an agent's answers, except those of the journal."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class RuntimeOnDevice(msgspec.Struct, frozen=True):
    """What a probe found: the runtime in `folder` ("" is the device's own), or the problem with it."""

    folder: str = ""
    facts: dict[str, str] = {}
    problem: str = ""


class TailEnd(msgspec.Struct, frozen=True):
    """Why the agent stopped sending lines. died: the job's process ended without a last line. reason: if known."""

    tail: Literal["ended", "died", "interrupted"]
    stderr: list[str] = []
    reason: str = ""


class Holder(msgspec.Struct, frozen=True):
    """Whose job the device is measuring: who started it, from where, how long ago, and its artifacts."""

    owner: str = ""
    age_s: float = 0.0
    runs: list[str] = []

    def __str__(self) -> str:
        what = ", ".join(self.runs[:3]) + (" ..." if len(self.runs) > 3 else "")
        return f"{self.owner or 'someone'} has been measuring {what or 'there'} for {duration(self.age_s)}"


class Started(msgspec.Struct, frozen=True):
    started: bool
    busy: Holder | None = None


class Clock(msgspec.Struct, frozen=True):
    """When a request arrived at the device and when its answer left, on the device's monotonic clock."""

    received_ns: Nanoseconds
    sent_ns: Nanoseconds


class Alive(msgspec.Struct, frozen=True):
    """did: how much of a request is done. stopped: pid of a process of the job that a signal has stopped, if any."""

    did: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    stopped: int | None = None


class Ready(msgspec.Struct, frozen=True):
    """How many bytes of a file the device already has."""

    have: int


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
