"""A journal becomes records: one for each artifact of the job, with everything that was written about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import asdict

from edgebench.device import accuracy, journal
from edgebench.device.job_store import JobRequest, StoredJob
from edgebench.schema import names, record
from edgebench.schema.energy_reading import ClockAlignment, EnergyReading, EnergyWindow, Flag, IdleWindow, Provenance
from edgebench.schema.facts import Facts
from edgebench.schema.record import Answers, MeasuredTarget, Outcome, Record, Round, Runtime, Scored, Series

_LineT = TypeVar("_LineT", bound=journal.Line)
_WindowT = TypeVar("_WindowT", bound=IdleWindow)
_SeriesT = TypeVar("_SeriesT", bound=Series)
_T = TypeVar("_T")
AttachedMeter = Callable[[int, Sequence[journal.AnyLine]], EnergyReading]
# An artifact's name and, for each image of its test set, what the device kept of the answers.
Scoring = Callable[[str, list[list[Any]]], Scored | None]
# {meter: {scope: what it adds to a window}}
Readings = dict[str, dict[str, dict[str, Any]]]

_VALUES = msgspec.json.Decoder(record.ValuesNs)
_READINGS = msgspec.json.Decoder(Readings)


def to_records(
    job: StoredJob,
    *,
    agent_died: str | None,
    version: str,
    attached: AttachedMeter | None = None,
    scoring: Scoring | None = None,
) -> list[Record]:
    """One record for each artifact of the job. Raises AgentError for what cannot have been measured.

    agent_died: what the agent last said if its process ended without an `end` line; None if it did not.
    version: of edgebench. attached: what a meter on this machine saw of an artifact, from all lines.
    scoring: of the answers to its test set; what it raises goes through, and the job stays stored.
    """
    windows = [(e, _read(job, e.readings, _READINGS)) for e in job.entries if isinstance(e, journal.WindowLine)]
    records = []
    for index in range(len(job.request.artifacts)):
        own = [entry for entry in job.entries if _is_about(index, entry)]
        readings = _readings(job, own, [(e, seen) for e, seen in windows if _is_about(index, e)])
        seen = (*readings, *([attached(index, job.entries)] if attached else ()))
        made = _record(job, index, own, _outcome(job.request, index, own, agent_died), seen, version)
        records.append(msgspec.structs.replace(made, **_answers(job, own, index, scoring)))
    return records


def _is_about(index: int, entry: journal.Line) -> bool:
    if isinstance(entry, journal.GateLine | journal.LoadLine):
        return entry.artifacts is None or index in entry.artifacts
    return getattr(entry, "artifact", index) == index


def _record(
    job: StoredJob,
    index: int,
    own: list[journal.AnyLine],
    outcome: Outcome,
    energy: Sequence[EnergyReading],
    version: str,
) -> Record:
    request = job.request
    target, artifact = request.target, request.artifacts[index]
    facts = {entry.when: entry.facts for entry in _all(own, journal.FactsLine)}
    parts: dict[str, Any] = {"runtime": Runtime(request.specs[index]["runtime"]), **_parts(own)}
    return Record(
        schema_version=record.SCHEMA_VERSION,
        id=f"{request.created}-{names.safe(_name(request, index))}",
        job=request.id,
        created=request.created,
        edgebench=version,
        commit=request.commit,
        target=MeasuredTarget(
            target.name, target.transport, target.device, _threads(request, index), target.emulated, target.precision
        ),
        artifact=artifact,
        plan=request.plan,
        outcome=outcome,
        facts_before=facts.get("before", Facts()),
        facts_after=facts.get("after"),
        warmup=tuple(_timed(job, e.series, e.values_ns, Series) for e in _all(own, journal.WarmupLine)),
        rounds=tuple(_timed(job, e.round, e.values_ns, Round) for e in _all(own, journal.RoundLine)),
        energy=tuple(_charged(reading, facts) for reading in energy),
        **parts,
    )


def _name(request: JobRequest, index: int) -> str:
    """Unique in the job: an artifact that is measured several times is named with its runtime, or its threads."""
    name, own = request.artifacts[index].name, request.specs[index]
    others = [spec for artifact, spec in zip(request.artifacts, request.specs, strict=True) if artifact.name == name]
    runtime = f"-{own['runtime']}" if len({one["runtime"] for one in others}) > 1 else ""
    several = len({one.get("options", {}).get("threads") for one in others}) > 1
    return name + runtime + (f"-{_threads(request, index)}threads" if several else "")


def _threads(request: JobRequest, index: int) -> int:
    threads: int = request.specs[index].get("options", {}).get("threads", request.target.threads)
    return threads


def _parts(own: Sequence[journal.AnyLine]) -> dict[str, Any]:
    """What lines carry as the record has it; of a line that came twice, the last."""
    parts: dict[str, Any] = {}
    for entry in own:
        match entry:
            case journal.LoadedLine():
                parts |= asdict(entry.loaded)
            case journal.GoldenLine():
                parts["golden"] = entry.golden
            case journal.MemoryLine() if entry.memory.running:  # not every runtime's process can be looked into
                parts["memory"] = entry.memory
            case journal.GateLine():
                parts |= {"gate_open": entry.open, "cooling": entry.cooling}
            case journal.WarmLine():
                parts["stationary"] = entry.stationary
            case journal.LoadLine():
                parts["load"] = entry.load
            case journal.LayersLine():
                parts["layers"] = entry.layers
            case journal.PeaksLine():
                parts["peaks"] = entry.peaks
    return parts


def _outcome(request: JobRequest, index: int, own: list[journal.AnyLine], agent_died: str | None) -> Outcome:
    if failed := _all(own, journal.FailedLine):
        return failed[-1].outcome
    ends = _all(own, journal.EndLine)
    if not ends:
        return Outcome("agent-died", reason=agent_died or "the agent's process ended without a last line")
    if ends[-1].status == "stopped":
        return Outcome("stopped", reason=f"stopped by the user after {len(_all(own, journal.RoundLine))} rounds")
    if index in ends[-1].complete:
        return Outcome("complete")
    plan = request.plan
    aim = "all of its rounds" if plan.precision is None else f"within +/-{plan.precision:.1%}"
    return Outcome("budget", reason=f"not {aim} after {plan.seconds_max:g} s")


# ------------------------------------------------------------------ energy, as the device's own meters saw it


def _readings(
    job: StoredJob, own: list[journal.AnyLine], windows: Sequence[tuple[journal.WindowLine, Readings]]
) -> Iterator[EnergyReading]:
    """One for each scope of each meter. One that stopped answering has the windows before that, and says why there are
    no more; one whose windows never came (the job ended before) says so.
    """
    said: dict[str, list[journal.MeterLine]] = {}
    for entry in _all(own, journal.MeterLine):
        said.setdefault(entry.meter, []).append(entry)
    for meter, lines in said.items():
        seen = [(entry, readings[meter]) for entry, readings in windows if meter in readings]
        for scope, (provenance, why) in (lines[0].scopes or {"": ("unavailable", "")}).items():
            of_scope = [(entry, found[scope]) for entry, found in seen if scope in found]
            idle = [_window(job, e, rest, IdleWindow) for e, rest in of_scope if isinstance(e, journal.IdleLine)]
            active = [_window(job, e, rest, EnergyWindow) for e, rest in of_scope if isinstance(e, journal.EnergyLine)]
            if active:
                reason = "; ".join(part for part in (why, lines[-1].reason) if part)
                yield _reading(job, lines[0], provenance, reason, scope, idle, active)
            else:
                others = any(isinstance(entry, journal.EnergyLine) for entry, _ in seen)
                none = "its counter of this scope stood still" if others else "the job ended before its windows"
                yield EnergyReading(meter, "unavailable", lines[-1].reason or none, scope)


def _reading(
    job: StoredJob, line: journal.MeterLine, provenance: Provenance, reason: str, scope: str,
    idle: list[IdleWindow], active: list[EnergyWindow],
) -> EnergyReading:  # fmt: skip
    try:
        return EnergyReading(
            line.meter, provenance, reason, scope, line.note, line.instrument, ClockAlignment("same_clock"),
            tuple(idle), tuple(active),
        )  # fmt: skip
    except ValueError as error:  # windows of a meter that does not say what it is
        raise journal.unfit(job.lines[job.entries.index(line)], job.where, error) from error


def _window(job: StoredJob, entry: journal.WindowLine, rest: dict[str, Any], kind: type[_WindowT]) -> _WindowT:
    try:
        window = msgspec.convert({**rest, **asdict(entry.window)}, kind)
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


def _answers(
    job: StoredJob, own: list[journal.AnyLine], index: int, scoring: Scoring | None
) -> dict[str, Answers | Scored | None]:
    """Empty unless the whole test set was answered: a part of it has another accuracy."""
    name = job.request.artifacts[index].name
    test = job.request.tests.get(name)
    lines = {entry.piece: entry for entry in _all(own, journal.AnswersLine)}
    if test is None or set(lines) != set(range(len(test.pieces))):
        return {}
    images: list[list[Any]] = []
    for number, (_, count) in enumerate(test.pieces):
        try:
            answered = accuracy.unpacked(bytes(lines[number].answers))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise journal.unfit(bytes(lines[number].answers), job.where, error) from error
        if len(answered) != count:
            return {}
        images += answered
    parts: dict[str, Answers | Scored | None] = {}
    if test.labels_base64:
        first = accuracy.classes([int(one[0][0]) for one in images])
        parts["answers"] = Answers(test.dataset, len(images), first, test.labels_base64)
    return {**parts, "scored": scoring(name, images) if scoring else None}


def _read(job: StoredJob, part: Raw, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(part)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise journal.unfit(bytes(part), job.where, error) from error


def _all(entries: Sequence[journal.AnyLine], kind: type[_LineT]) -> list[_LineT]:
    return [entry for entry in entries if isinstance(entry, kind)]
