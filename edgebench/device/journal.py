"""The message types of the agent protocol, as the host reads them.

What comes from a device is untrusted: every line is decoded strictly, and one that does not fit ends the run
with an error that shows it.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import msgspec

from edgebench.device import wire
from edgebench.errors import AgentError
from edgebench.files.plain_text import plain
from edgebench.schema.energy_reading import Instrument, Provenance, Scope
from edgebench.schema.facts import Facts, MeterFound
from edgebench.schema.limits import (
    Amount,
    Bytes,
    Celsius,
    Count,
    Fraction,
    Hertz,
    Index,
    Instant,
    Joules,
    LongText,
    Nanoseconds,
    Processor,
    ProcessorSeconds,
    Seconds,
    Span,
    Text,
    Uncertainty,
    Wait,
)
from edgebench.schema.record import FailureKind


class Line(msgspec.Struct, frozen=True, tag_field="event", forbid_unknown_fields=True):
    """n counts the lines of a journal from 0; t_ns is the device's monotonic clock."""

    n: Index
    t_ns: Instant


class JobLine(Line, tag="job", frozen=True):
    id: str
    protocol: int
    python: str


class FactsLine(Line, tag="facts", frozen=True):
    when: str
    facts: Facts


class LoadedInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input as the worker feeds it."""

    name: Text
    shape: list[Index]
    dtype: Text
    bytes: Bytes


class LoadedLine(Line, tag="loaded", frozen=True):
    artifact: Index
    runtime: str
    runtime_facts: dict[Text, LongText]
    load_ns: Span
    first_inference_ns: Span
    inputs: list[LoadedInput]
    notes: dict[Text, Any]
    threads: Count | None = None
    cpus: list[Processor] = []
    signature: Text = ""


class GoldenLine(Line, tag="golden", frozen=True):
    artifact: Index
    passed: bool
    outputs: str
    relative_error: Amount | None = None
    max_abs_diff: Amount | None = None
    agreement_with_host: Fraction | None = None
    agreement_with_parent: Fraction | None = None


class MemoryLine(Line, tag="memory", frozen=True):
    artifact: Index
    bare: dict[Text, Bytes]
    loaded: dict[Text, Bytes]
    running: dict[Text, Bytes]
    reset: bool


class GateLine(Line, tag="gate", frozen=True):
    artifacts: list[Index] | None
    waited_s: Wait
    limit_c: Celsius | None
    limit_hz: Hertz | None
    curve: Annotated[list[tuple[Wait, Celsius | None, Hertz | None]], msgspec.Meta(min_length=1)]
    open: bool


class WarmupLine(Line, tag="warmup", frozen=True):
    artifact: Index
    block: Count
    start_ns: Instant
    values_ns: Annotated[list[Nanoseconds], msgspec.Meta(min_length=1)]
    interrupted: Text = ""


class WarmLine(Line, tag="warm", frozen=True):
    artifact: Index
    stationary: bool
    windows: int
    spent_s: Wait


class RoundLine(Line, tag="round", frozen=True):
    artifact: Index
    round: Index
    block: Count
    start_ns: Instant
    values_ns: Annotated[list[Nanoseconds], msgspec.Meta(min_length=1)]
    temperature_c: Celsius | None
    throttled: Index | None
    clock_hz: Hertz | None
    duration_ns: Nanoseconds
    missed: Index | None
    interrupted: Text = ""


class LoadLine(Line, tag="load", frozen=True):
    wall_s: Seconds
    own_s: ProcessorSeconds
    busy_s: ProcessorSeconds
    steal_s: ProcessorSeconds
    clocks_s: dict[Text, dict[Text, Wait]]


class MeterLine(Line, tag="meter", frozen=True):
    """A meter that is read: scopes with (provenance, why), and what it is. Or why it is not read, or no more."""

    meter: Text
    reason: LongText = ""
    scopes: dict[Scope, tuple[Provenance, str]] = {}
    instrument: Instrument | None = None
    note: Text = ""


class WindowLine(Line, frozen=True):
    """One window on the device's clock; {meter: {scope: J}} of the device's own meters, and what reading leaves."""

    round: Index
    start_ns: Instant
    duration_s: Seconds
    joules: dict[Text, dict[Scope, Joules]]
    u_j: dict[Text, dict[Scope, Uncertainty]]


class IdleLine(WindowLine, tag="idle", frozen=True):
    throttled: Index | None = None
    temperature_c: Celsius | None = None


class EnergyLine(WindowLine, tag="energy", frozen=True):
    """u_common_j: what reading leaves that is the same in all windows. in_step: meters whose readings fell at the same
    point of each inference.
    """

    artifact: Index
    inferences: Count
    throttled: Index | None
    temperature_c: Celsius | None = None
    clock_hz: Hertz | None = None
    u_common_j: dict[Text, dict[Scope, Uncertainty]] = {}
    in_step: tuple[Text, ...] = ()


class AnswersLine(Line, tag="answers", frozen=True):
    artifact: Index
    piece: Index
    classes: list[Annotated[int, msgspec.Meta(ge=0, lt=65536)]]


class FailedLine(Line, tag="failed", frozen=True):
    artifact: Index
    stage: Text
    kind: FailureKind
    reason: LongText
    signal: Text | None


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
    return msgspec.structs.replace(seen, event=plain(seen.event[:40]), reason=plain(seen.reason[:500]))
