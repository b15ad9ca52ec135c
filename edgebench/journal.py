"""The message types of the agent protocol, as the host reads them. What a record is made of: `edgebench/recording.py`.

What comes from a device is untrusted: every line is decoded strictly, and one that does not fit ends the run
with an error that shows it.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import msgspec

from edgebench import wire
from edgebench.errors import AgentError
from edgebench.facts import Facts, MeterFound
from edgebench.reading import (
    Instrument,
    Provenance,
    Scope,
    Seconds,
    Uncertainty,
)
from edgebench.record import (
    Count,
    FailureKind,
    Nanoseconds,
)

Index = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Line(msgspec.Struct, frozen=True, tag_field="event", forbid_unknown_fields=True):
    """n counts the lines of a journal from 0; t_ns is the device's monotonic clock."""

    n: Index
    t_ns: Index


class JobLine(Line, tag="job", frozen=True):
    id: str
    protocol: int
    python: str


class FactsLine(Line, tag="facts", frozen=True):
    when: str
    facts: Facts


class LoadedInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input as the worker feeds it."""

    name: str
    shape: list[Index]
    dtype: str
    bytes: Index


class LoadedLine(Line, tag="loaded", frozen=True):
    artifact: Index
    runtime: str
    runtime_facts: dict[str, str]
    load_ns: int
    first_inference_ns: int
    inputs: list[LoadedInput]
    notes: dict[str, Any]
    threads: Count | None = None
    cpus: list[int] = []
    signature: str = ""


class GoldenLine(Line, tag="golden", frozen=True):
    artifact: Index
    passed: bool
    outputs: str
    relative_error: float | None = None
    max_abs_diff: float | None = None
    agreement_with_host: float | None = None
    agreement_with_parent: float | None = None


class MemoryLine(Line, tag="memory", frozen=True):
    artifact: Index
    bare: dict[str, int]
    loaded: dict[str, int]
    running: dict[str, int]
    reset: bool


class GateLine(Line, tag="gate", frozen=True):
    artifacts: list[Index] | None
    waited_s: float
    limit_c: float | None
    limit_hz: int | None
    curve: Annotated[list[tuple[float, float | None, int | None]], msgspec.Meta(min_length=1)]
    open: bool


class WarmupLine(Line, tag="warmup", frozen=True):
    artifact: Index
    block: Count
    start_ns: Index
    values_ns: Annotated[list[Nanoseconds], msgspec.Meta(min_length=1)]
    interrupted: str = ""


class WarmLine(Line, tag="warm", frozen=True):
    artifact: Index
    stationary: bool
    windows: int
    spent_s: float


class RoundLine(Line, tag="round", frozen=True):
    artifact: Index
    round: int
    block: Count
    start_ns: Index
    values_ns: Annotated[list[Nanoseconds], msgspec.Meta(min_length=1)]
    temperature_c: float | None
    throttled: int | None
    clock_hz: int | None
    duration_ns: Nanoseconds
    missed: int | None
    interrupted: str = ""


class LoadLine(Line, tag="load", frozen=True):
    wall_s: Seconds
    own_s: float
    busy_s: float
    steal_s: float
    clocks_s: dict[str, dict[str, float]]


class MeterLine(Line, tag="meter", frozen=True):
    """A meter that is read: scopes with (provenance, why), and what it is. Or why it is not read, or no more."""

    meter: str
    reason: str = ""
    scopes: dict[Scope, tuple[Provenance, str]] = {}
    instrument: Instrument | None = None
    note: str = ""


class WindowLine(Line, frozen=True):
    """One window on the device's clock; {meter: {scope: J}} of the device's own meters, and what reading leaves."""

    round: Index
    start_ns: Index
    duration_s: Seconds
    joules: dict[str, dict[Scope, float]]
    u_j: dict[str, dict[Scope, Uncertainty]]


class IdleLine(WindowLine, tag="idle", frozen=True):
    throttled: int | None = None
    temperature_c: float | None = None


class EnergyLine(WindowLine, tag="energy", frozen=True):
    artifact: Index
    inferences: Count
    throttled: int | None
    temperature_c: float | None = None
    clock_hz: int | None = None


class AnswersLine(Line, tag="answers", frozen=True):
    artifact: Index
    piece: Index
    classes: list[Annotated[int, msgspec.Meta(ge=0, lt=65536)]]


class FailedLine(Line, tag="failed", frozen=True):
    artifact: Index
    stage: str
    kind: FailureKind
    reason: str
    signal: str | None


class EndLine(Line, tag="end", frozen=True):
    status: str


AnyLine = (
    JobLine | FactsLine | LoadedLine | GoldenLine | MemoryLine | GateLine | WarmupLine | WarmLine | RoundLine
    | LoadLine | MeterLine | IdleLine | EnergyLine | AnswersLine | FailedLine | EndLine
)  # fmt: skip

_DECODER: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


# Escapes and bytes above ASCII: what a terminal must not be shown can only be among them.
_DOUBTFUL = re.compile(rb"[\\\x7f-\xff]|\d{19}")


def decode(line: bytes, where: str, *, artifacts: int) -> AnyLine:
    """One line of a job of so many artifacts. Raises AgentError for anything that is not one."""
    try:
        entry = msgspec.convert(wire.parse(line), AnyLine) if _DOUBTFUL.search(line) else _DECODER.decode(line)
        if getattr(entry, "artifact", 0) >= artifacts:
            raise ValueError(f"it is about artifact {getattr(entry, 'artifact', None)} of {artifacts}")
        if isinstance(entry, LoadedLine):
            wire.checked(entry.notes)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise AgentError(
            where, f"a journal line that does not fit the protocol ({error}): {line[:200]!r}", "Report this as a bug"
        ) from error
    return entry


class Allowance:
    """What a journal may hold: it comes from measuring, so it cannot grow faster than values are made.

    Values are 5 microseconds or more each where they are not 4 digits long: 1.2 MB a second at most.
    """

    BASE_BYTES = 24 << 20  # outputs of golden inputs, answers to a test set, facts
    BYTES_PER_S = 1.5e6
    MOST_BYTES = 512 << 20
    LINE_BYTES = 200  # what keeping a line costs besides its text

    def __init__(self, age_s: float = 0.0) -> None:
        """age_s: of the job."""
        self._since = time.monotonic() - max(0.0, age_s)
        self._spent = 0

    def over(self, line: bytes) -> str:
        """Count a line; why it is one too many, or ""."""
        self._spent += len(line) + self.LINE_BYTES
        allowed = min(self.BASE_BYTES + self.BYTES_PER_S * (time.monotonic() - self._since), self.MOST_BYTES)
        if self._spent <= allowed:
            return ""
        return f"a journal of {self._spent / 1e6:.0f} MB, more than measuring can write in that time"


class GlancedFacts(msgspec.Struct, frozen=True):
    meters: dict[str, MeterFound] = {}


class Glance(msgspec.Struct, frozen=True):
    """What a progress bar wants of a line; see the lines above."""

    event: str = ""
    t_ns: int = 0
    when: str = ""
    facts: GlancedFacts = GlancedFacts()
    artifact: int = 0
    artifacts: list[int] | None = None
    round: int = 0
    reason: str = ""
    interrupted: str = ""
    first_inference_ns: int = 0
    stationary: bool = False
    windows: int = 0
    spent_s: float = 0.0
    duration_ns: int = 0
    duration_s: float = 0.0
    inferences: int = 0
    piece: int = 0


_GLANCER = msgspec.json.Decoder(Glance)


def glance(line: bytes) -> Glance:
    """A quick look that leaves the values unread: this machine may be the one that is being measured.

    A line that does not fit is nothing to look at here; `decode` will say what is wrong with it.
    """
    try:
        seen = _GLANCER.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Glance()
    return msgspec.structs.replace(seen, event=wire.plain(seen.event[:40]), reason=wire.plain(seen.reason[:500]))
