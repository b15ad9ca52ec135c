"""A journal becomes records: one for each artifact of the job, with everything that was written about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import asdict

from edgebench.device import accuracy, journal
from edgebench.device.job_store import AccuracyTest, JobRequest, StoredJob
from edgebench.device.journal import (
    AnswersLine,
    AnyLine,
    EndLine,
    EnergyLine,
    FactsLine,
    FailedLine,
    GateLine,
    GoldenLine,
    IdleLine,
    Line,
    LoadedLine,
    LoadLine,
    MemoryLine,
    MeterLine,
    RoundLine,
    WarmLine,
    WarmupLine,
    WindowLine,
)
from edgebench.schema.energy_reading import ClockAlignment, EnergyReading, EnergyWindow, Flag, IdleWindow
from edgebench.schema.facts import Facts
from edgebench.schema.record import (
    SCHEMA_VERSION,
    Answers,
    MeasuredTarget,
    Outcome,
    Record,
    Round,
    Runtime,
    Series,
    ValuesNs,
)

_LineT = TypeVar("_LineT", bound=Line)
_WindowT = TypeVar("_WindowT", bound=IdleWindow)
_SeriesT = TypeVar("_SeriesT", bound=Series)
_T = TypeVar("_T")
AttachedMeter = Callable[[int, Sequence[AnyLine]], EnergyReading]
# {meter: {scope: what it adds to a window}}
Readings = dict[str, dict[str, dict[str, Any]]]

Class = Annotated[int, msgspec.Meta(ge=0, lt=65536)]
_VALUES = msgspec.json.Decoder(ValuesNs)
_CLASSES = msgspec.json.Decoder(list[Class])
_READINGS = msgspec.json.Decoder(Readings)


def to_records(
    job: StoredJob, *, agent_died: str | None, version: str, attached: AttachedMeter | None = None
) -> list[Record]:
    """One record for each artifact of the job. Raises AgentError for what cannot have been measured.

    agent_died: what the agent last said if its process ended without an `end` line; None if it did not.
    version: of edgebench. attached: what a meter on this machine saw of an artifact, from all lines.
    """
    windows = [(e, _read(job, e.readings, _READINGS)) for e in job.entries if isinstance(e, WindowLine)]
    records = []
    for index in range(len(job.request.artifacts)):
        own = [entry for entry in job.entries if _is_about(index, entry)]
        readings = _readings(job, own, [(e, seen) for e, seen in windows if _is_about(index, e)])
        seen = (*readings, *([attached(index, job.entries)] if attached else ()))
        records.append(_record(job, index, own, _outcome(job.request, index, own, agent_died), seen, version))
    return records


def _is_about(index: int, entry: Line) -> bool:
    if isinstance(entry, GateLine):
        return entry.artifacts is None or index in entry.artifacts
    return getattr(entry, "artifact", index) == index


def _record(
    job: StoredJob, index: int, own: list[AnyLine], outcome: Outcome, energy: Sequence[EnergyReading], version: str
) -> Record:
    request = job.request
    target, artifact = request.target, request.artifacts[index]
    facts = {entry.when: entry.facts for entry in _all(own, FactsLine)}
    parts: dict[str, Any] = {"runtime": Runtime(request.specs[index]["runtime"]), **_parts(own)}
    return Record(
        schema_version=SCHEMA_VERSION,
        id=f"{request.created}-{artifact.name}",
        job=request.id,
        created=request.created,
        edgebench=version,
        target=MeasuredTarget(target.name, target.transport, target.device, target.threads, target.emulated),
        artifact=artifact,
        plan=request.plan,
        outcome=outcome,
        facts_before=facts.get("before", Facts()),
        facts_after=facts.get("after"),
        warmup=tuple(_timed(job, e.series, e.values_ns, Series) for e in _all(own, WarmupLine)),
        rounds=tuple(_timed(job, e.round, e.values_ns, Round) for e in _all(own, RoundLine)),
        energy=tuple(_charged(reading, facts) for reading in energy),
        answers=_answers(job, own, request.tests.get(artifact.name)),
        **parts,
    )


def _parts(own: Sequence[AnyLine]) -> dict[str, Any]:
    """What lines carry as the record has it; of a line that came twice, the last."""
    parts: dict[str, Any] = {}
    for entry in own:
        match entry:
            case LoadedLine():
                parts |= asdict(entry.loaded)
            case GoldenLine():
                parts["golden"] = entry.golden
            case MemoryLine() if entry.memory.running:  # not every runtime's process can be looked into
                parts["memory"] = entry.memory
            case GateLine():
                parts |= {"gate_open": entry.open, "cooling": entry.cooling}
            case WarmLine():
                parts["stationary"] = entry.stationary
            case LoadLine():
                parts["load"] = entry.load
    return parts


def _outcome(request: JobRequest, index: int, own: list[AnyLine], agent_died: str | None) -> Outcome:
    if failed := _all(own, FailedLine):
        return failed[-1].outcome
    ends = _all(own, EndLine)
    if not ends:
        return Outcome("agent-died", reason=agent_died or "the agent's process ended without a last line")
    if ends[-1].status == "stopped":
        return Outcome("stopped", reason=f"stopped by the user after {len(_all(own, RoundLine))} rounds")
    if index in ends[-1].complete:
        return Outcome("complete")
    plan = request.plan
    aim = "all of its rounds" if plan.precision is None else f"within +/-{plan.precision:.1%}"
    return Outcome("budget", reason=f"not {aim} after {plan.seconds_max:g} s")


# ------------------------------------------------------------------ energy, as the device's own meters saw it


def _readings(
    job: StoredJob, own: list[AnyLine], windows: Sequence[tuple[WindowLine, Readings]]
) -> Iterator[EnergyReading]:
    """One for each scope of each meter. One that stopped answering has the windows before that, and says why there are
    no more; one whose windows never came (the job ended before) says so.
    """
    said: dict[str, list[MeterLine]] = {}
    for entry in _all(own, MeterLine):
        said.setdefault(entry.meter, []).append(entry)
    for meter, lines in said.items():
        seen = [(entry, readings[meter]) for entry, readings in windows if meter in readings]
        for scope, (provenance, why) in (lines[0].scopes or {"": ("unavailable", "")}).items():
            idle = [_window(job, e, of[scope], IdleWindow) for e, of in seen if isinstance(e, IdleLine) and scope in of]
            active = [
                _window(job, e, of[scope], EnergyWindow) for e, of in seen if isinstance(e, EnergyLine) and scope in of
            ]
            if active:
                reason = "; ".join(part for part in (why, lines[-1].reason) if part)
                yield EnergyReading(
                    meter, provenance, reason, scope, lines[0].note, lines[0].instrument, ClockAlignment("same_clock"),
                    tuple(idle), tuple(active),
                )  # fmt: skip
            else:
                others = any(isinstance(entry, EnergyLine) for entry, _ in seen)
                none = "its counter of this scope stood still" if others else "the job ended before its windows"
                yield EnergyReading(meter, "unavailable", lines[-1].reason or none, scope)


def _window(job: StoredJob, entry: IdleLine | EnergyLine, seen: dict[str, Any], kind: type[_WindowT]) -> _WindowT:
    try:
        window = msgspec.convert({**seen, **asdict(entry.window)}, kind)
    except msgspec.ValidationError as error:
        raise journal.unfit(bytes(entry.readings), job.where, error) from error
    return msgspec.structs.replace(window, flags=(*board_flags(entry.throttled), *window.flags))


_BOARD_FLAGS: tuple[Flag, ...] = ("undervoltage", "freq_capped", "throttled", "soft_temp")


def board_flags(throttled: int | None) -> tuple[Flag, ...]:
    """What the live bits of the board's firmware say (device_agents/python/facts.py: throttled)."""
    return tuple(flag for bit, flag in enumerate(_BOARD_FLAGS) if (throttled or 0) >> bit & 1)


# What a battery takes or gives is in the joules of these.
_WITH_BATTERY = ("battery", "board_input", "wall")


def _charged(reading: EnergyReading, facts: Mapping[str, Facts]) -> EnergyReading:
    """With the flag `charging` if the device's battery was being charged before or after."""
    if not reading.windows or reading.scope not in _WITH_BATTERY or not any(one.charging for one in facts.values()):
        return reading
    return msgspec.structs.replace(reading, flags=(*reading.flags, "charging"))


# ------------------------------------------------------------------ what was left unread


def _timed(job: StoredJob, part: Series, values_ns: Raw, kind: type[_SeriesT]) -> _SeriesT:
    return kind(**asdict(part), values_ns=_read(job, values_ns, _VALUES))


def _answers(job: StoredJob, own: list[AnyLine], test: AccuracyTest | None) -> Answers | None:
    """None unless the whole test set was answered: a part of it has another accuracy."""
    if test is None:
        return None
    pieces = {entry.piece: _read(job, entry.classes, _CLASSES) for entry in _all(own, AnswersLine)}
    counts = [len(pieces.get(number, ())) for number in range(len(test.pieces))]
    if counts != [count for _, count in test.pieces]:
        return None
    classes = [class_ for number in range(len(counts)) for class_ in pieces[number]]
    return Answers(test.dataset, len(classes), accuracy.classes(classes), test.labels_base64)


def _read(job: StoredJob, part: Raw, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(part)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise journal.unfit(bytes(part), job.where, error) from error


def _all(entries: Sequence[AnyLine], kind: type[_LineT]) -> list[_LineT]:
    return [entry for entry in entries if isinstance(entry, kind)]
