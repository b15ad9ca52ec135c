"""A job's journal, as the host reads it: lines that carry the parts that a record is made of (edgebench/schema).

Lines come from a device and are untrusted. Each is decoded strictly, once, as it arrives; one that does not fit ends
the run with an error that shows it. What is long (values, answers, joules) stays unread until the record is made: this
machine may be the one that is being measured.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from device_agents.python import PROTOCOL
from edgebench.device import wire
from edgebench.errors import AgentError
from edgebench.schema.energy_reading import EnergyWindow, IdleWindow, Instrument, Provenance, Scope
from edgebench.schema.facts import Facts
from edgebench.schema.layer_times import LayerTimes
from edgebench.schema.limits import Index, Instant, LongText, Text, Wait
from edgebench.schema.parts import only, without
from edgebench.schema.peak import Peak
from edgebench.schema.record import Cooling, GoldenCheck, Load, Memory, Outcome, Record, Round, Series

if TYPE_CHECKING:
    LoadedPart = Record
    SeriesPart = Series
    RoundPart = Round
    IdlePart = IdleWindow
    EnergyPart = EnergyWindow
else:
    LoadedPart = only(Record, "runtime", "load_ns", "first_inference_ns", "fed", "signature")
    SeriesPart, RoundPart = without(Series, "values_ns"), without(Round, "values_ns")
    # What the device knows of a window, whichever meter looked on.
    _OF_METERS = ("energy_j", "u_j", "u_common_j", "values", "max_gap_s", "flags")
    IdlePart, EnergyPart = without(IdleWindow, *_OF_METERS), without(EnergyWindow, *_OF_METERS)


class Line(msgspec.Struct, frozen=True, tag_field="event", forbid_unknown_fields=True):
    """n counts the lines of a journal from 0; t_ns is the device's monotonic clock."""

    n: Index
    t_ns: Instant


class ArtifactLine(Line, frozen=True):
    artifact: Index


class JobLine(Line, tag="job", frozen=True):
    id: str
    protocol: int
    python: str


class FactsLine(Line, tag="facts", frozen=True):
    when: str
    facts: Facts


class LoadedLine(ArtifactLine, tag="loaded", frozen=True):
    loaded: LoadedPart


class GoldenLine(ArtifactLine, tag="golden", frozen=True):
    golden: GoldenCheck


class MemoryLine(ArtifactLine, tag="memory", frozen=True):
    memory: Memory


class GateLine(Line, tag="gate", frozen=True):
    """artifacts: those that it was for, if not for all."""

    artifacts: tuple[Index, ...] | None
    open: bool
    cooling: Cooling


class WarmupLine(ArtifactLine, tag="warmup", frozen=True):
    series: SeriesPart
    values_ns: Raw


class WarmLine(ArtifactLine, tag="warm", frozen=True):
    stationary: bool
    windows: Index
    spent_s: Wait


class RoundLine(ArtifactLine, tag="round", frozen=True):
    round: RoundPart
    values_ns: Raw


class LoadLine(Line, tag="load", frozen=True):
    """artifacts: those that were measured meanwhile."""

    artifacts: tuple[Index, ...]
    load: Load


class MeterLine(Line, tag="meter", frozen=True):
    """A meter that is read: its scopes with (provenance, why), and what it is. Or why it is not read, or no longer."""

    meter: Text
    reason: LongText = ""
    scopes: dict[Scope, tuple[Provenance, str]] = {}
    instrument: Instrument | None = None
    note: Text = ""


class WindowLine(Line, frozen=True):
    """throttled: bits of any look since the window before. readings: {meter: {scope: the rest of the window}}, as the
    device's own meters saw it.
    """

    window: IdlePart
    throttled: Index | None
    readings: Raw

    @property
    def start_ns(self) -> int:
        return self.window.start_ns or 0

    @property
    def end_ns(self) -> int:
        return self.start_ns + round(self.window.duration_s * 1e9)


class IdleLine(WindowLine, tag="idle", frozen=True):
    pass


class EnergyLine(WindowLine, tag="energy", frozen=True):
    artifact: Index
    window: EnergyPart


class AnswersLine(ArtifactLine, tag="answers", frozen=True):
    """answers: of a piece of a test set, a class for each image, or arrays (accuracy.unpacked)."""

    piece: Index
    answers: Raw


class LayersLine(ArtifactLine, tag="layers", frozen=True):
    layers: LayerTimes


class PeaksLine(ArtifactLine, tag="peaks", frozen=True):
    peaks: tuple[Peak, ...]


class FailedLine(ArtifactLine, tag="failed", frozen=True):
    outcome: Outcome


class EndLine(Line, tag="end", frozen=True):
    """complete: the artifacts that met the plan's stop rule."""

    status: str
    complete: tuple[Index, ...]


AnyLine = (
    JobLine | FactsLine | LoadedLine | GoldenLine | MemoryLine | GateLine | WarmupLine | WarmLine | RoundLine
    | LoadLine | MeterLine | IdleLine | EnergyLine | AnswersLine | LayersLine | PeaksLine | FailedLine | EndLine
)  # fmt: skip

_DECODER: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


def decode(line: bytes, where: str, *, artifacts: int) -> AnyLine:
    """One line of a job of this many artifacts. Raises AgentError for anything else."""
    try:
        # Cleaned, a line is JSON again, as unread parts have to be.
        entry = _DECODER.decode(msgspec.json.encode(wire.parse(line)) if _is_doubtful(line) else line)
        if getattr(entry, "artifact", 0) >= artifacts:
            raise ValueError(f"it is about artifact {getattr(entry, 'artifact', None)} of {artifacts}")
        if isinstance(entry, LoadedLine):
            wire.checked(entry.loaded.runtime.notes)
        if isinstance(entry, FailedLine) and not (entry.outcome.status == "failed" and entry.outcome.kind):
            raise ValueError("a failure that does not say how")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise unfit(line, where, error) from error
    if isinstance(entry, JobLine) and entry.protocol != PROTOCOL:
        raise AgentError(
            where, f"it was started by a version of edgebench that speaks protocol {entry.protocol}, not {PROTOCOL}",
            "Finish it with that version, or remove its folder in the results' `.jobs` to measure anew",
        )  # fmt: skip
    return entry


def event(entry: Line) -> str:
    """What kind of line it is."""
    return str(entry.__struct_config__.tag)


def unfit(line: bytes, where: str, error: Exception) -> AgentError:
    seen = f"a journal line that does not fit the protocol ({error}): {line[:200]!r}"
    return AgentError(where, seen, "Report this as a bug")


# Escapes and bytes above ASCII: what a terminal must not be shown can only be among them.
_DOUBTFUL = re.compile(rb"[\\\x7f-\xff]|\d{19}")


def _is_doubtful(line: bytes) -> bool:
    """Values hold no text, and are checked when they are read."""
    head, _, values = line.partition(b'"values_ns":[')
    return bool(_DOUBTFUL.search(line if values.translate(None, b"0123456789,]}") else head))


# As agents write lines; one that begins otherwise is not taken for one of a long kind.
_KIND = re.compile(rb'\{"n":\d+,"t_ns":-?\d+,"event":"(\w+)",')


class Allowance:
    """How long a journal may be: it comes from measuring, so it cannot grow faster than values are made.

    Values take 5 microseconds or more each, or are shorter than 4 digits: 1.2 MB a second at most.
    """

    BASE_BYTES = 24 << 20  # outputs of golden inputs, classes of a test set, facts
    BYTES_PER_S = 1.5e6
    MOST_BYTES = 512 << 20
    LINE_BYTES = 400  # what keeping a line takes besides its text
    # Lines of other kinds are short. Decoded, their lists and dictionaries take up to this many times their text.
    LONG_KINDS = frozenset((b"warmup", b"round", b"answers", b"layers", b"golden", b"failed"))
    SHORT_WEIGHT = 32

    def __init__(self, age_s: float = 0.0, answers_bytes: float = 0.0) -> None:
        """age_s: of the job. answers_bytes: the most of what it answers to test sets."""
        self._base = self.BASE_BYTES + answers_bytes
        self._since = time.monotonic() - max(0.0, age_s)
        self._spent = 0

    def over(self, line: bytes) -> str:
        """Count a line; why it is one too many, or ""."""
        kind = _KIND.match(line)
        weight = 1 if kind and kind[1] in self.LONG_KINDS else self.SHORT_WEIGHT
        self._spent += weight * len(line) + self.LINE_BYTES
        allowed = min(self._base + self.BYTES_PER_S * (time.monotonic() - self._since), self.MOST_BYTES)
        if self._spent <= allowed:
            return ""
        return f"a journal that takes {self._spent / 1e6:.0f} MB, more than measuring can write in that time"
