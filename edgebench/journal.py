"""The message types of the agent protocol, as the host reads them, and how a journal becomes records.

What comes from a device is untrusted: every line is decoded strictly, and one that does not fit ends the run
with an error that shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from edgebench import stats
from edgebench.errors import AgentError
from edgebench.facts import Facts
from edgebench.ledger import Request
from edgebench.record import (
    SCHEMA_VERSION,
    Count,
    EnergyReading,
    EnergyWindow,
    FailureKind,
    GoldenCheck,
    Load,
    MeasuredTarget,
    Memory,
    Nanoseconds,
    Outcome,
    Provenance,
    Record,
    Round,
    Runtime,
    Seconds,
    Series,
)

Index = Annotated[int, msgspec.Meta(ge=0)]


class Line(msgspec.Struct, frozen=True, tag_field="event", forbid_unknown_fields=True):
    """n counts the lines of a journal from 0; t_ns is the device's monotonic clock."""

    n: int
    t_ns: int


class JobLine(Line, tag="job", frozen=True):
    id: str
    protocol: int
    python: str


class FactsLine(Line, tag="facts", frozen=True):
    when: str
    facts: Facts


class LoadedLine(Line, tag="loaded", frozen=True):
    artifact: Index
    runtime: str
    runtime_facts: dict[str, str]
    load_ns: int
    first_inference_ns: int
    inputs: list[dict[str, Any]]
    notes: dict[str, Any]


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
    waited_s: float
    limit_c: float | None
    temperature_c: float | None
    open: bool


class WarmupLine(Line, tag="warmup", frozen=True):
    artifact: Index
    block: Count
    start_ns: int
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
    start_ns: int
    values_ns: Annotated[list[Nanoseconds], msgspec.Meta(min_length=1)]
    temperature_c: float | None
    throttled: int | None
    interrupted: str = ""


class LoadLine(Line, tag="load", frozen=True):
    wall_s: Seconds
    own_s: float
    busy_s: float
    steal_s: float


class MeterLine(Line, tag="meter", frozen=True):
    meter: str
    provenance: Provenance
    reason: str = ""


class EnergyLine(Line, tag="energy", frozen=True):
    artifact: Index
    window: int
    meter: str
    idle_s: Seconds
    idle_j: dict[str, float]
    active_s: Seconds
    active_j: dict[str, float]
    inferences: Count


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
    | LoadLine | MeterLine | EnergyLine | FailedLine | EndLine
)  # fmt: skip

_LineT = TypeVar("_LineT", bound=Line)

_DECODER: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


def decode(line: bytes, where: str, *, artifacts: int) -> AnyLine:
    """One line of a job of so many artifacts. Raises AgentError for anything that is not one."""
    try:
        entry = _DECODER.decode(line)
        if getattr(entry, "artifact", 0) >= artifacts:
            raise ValueError(f"it is about artifact {getattr(entry, 'artifact', None)} of {artifacts}")
    except (msgspec.MsgspecError, ValueError) as error:
        raise AgentError(
            where, f"a journal line that does not fit the protocol ({error}): {line[:200]!r}", "Report this as a bug"
        ) from error
    return entry


class Glance(msgspec.Struct, frozen=True):
    """What a progress bar wants of a line."""

    event: str = ""
    artifact: int = 0
    round: int = 0
    reason: str = ""


_GLANCER = msgspec.json.Decoder(Glance)


def glance(line: bytes) -> Glance:
    """A quick look that leaves the values unread: this machine may be the one that is being measured.

    A line that does not fit is nothing to look at here; `decode` will say what is wrong with it.
    """
    try:
        return _GLANCER.decode(line)
    except (msgspec.MsgspecError, ValueError):
        return Glance()


def to_records(request: Request, lines: Sequence[bytes], *, agent_died: str | None, version: str) -> list[Record]:
    """One record per artifact of the job.

    agent_died: what the agent last said if its process ended without an `end` line; None if it did not.
    version: of edgebench.
    """
    where = f"target '{request.target.name}', job {request.id}"
    entries = [decode(line, where, artifacts=len(request.artifacts)) for line in lines]
    return [_record(request, index, entries, agent_died, version) for index in range(len(request.artifacts))]


def _record(request: Request, index: int, entries: list[AnyLine], agent_died: str | None, version: str) -> Record:
    target, artifact = request.target, request.artifacts[index]
    own = [entry for entry in entries if getattr(entry, "artifact", index) == index]
    facts = {entry.when: entry.facts for entry in own if isinstance(entry, FactsLine)}
    loaded = _last(own, LoadedLine)
    golden = _last(own, GoldenLine)
    memory = _last(own, MemoryLine)
    warm = _last(own, WarmLine)
    gate = _last(own, GateLine)
    load = _last(own, LoadLine)
    rounds = tuple(
        Round(e.start_ns, e.block, tuple(e.values_ns), e.round, e.temperature_c, e.throttled, e.interrupted)
        for e in own
        if isinstance(e, RoundLine)
    )
    return Record(
        schema_version=SCHEMA_VERSION,
        id=f"{request.created}-{artifact.name}",
        job=request.id,
        created=request.created,
        edgebench=version,
        target=MeasuredTarget(target.name, target.transport, target.device, target.threads, target.emulated),
        artifact=artifact,
        plan=request.plan,
        runtime=Runtime(
            name=request.specs[index]["runtime"],
            facts=loaded.runtime_facts if loaded else {},
            notes=loaded.notes if loaded else {},
        ),
        outcome=_outcome(request, own, rounds, agent_died),
        facts_before=facts.get("before", Facts()),
        facts_after=facts.get("after"),
        load_ns=loaded.load_ns if loaded else None,
        first_inference_ns=loaded.first_inference_ns if loaded else None,
        golden=_golden_check(golden, request.specs[index]) if golden else None,
        memory=Memory(memory.bare, memory.loaded, memory.running, memory.reset) if memory else None,
        warmup=tuple(Series(e.start_ns, e.block, tuple(e.values_ns)) for e in own if isinstance(e, WarmupLine)),
        stationary=warm.stationary if warm else None,
        gate_open=gate.open if gate else None,
        load=Load(load.wall_s, load.own_s, load.busy_s, load.steal_s) if load else None,
        rounds=rounds,
        energy=_readings(own),
    )


def _outcome(request: Request, own: list[AnyLine], rounds: tuple[Round, ...], agent_died: str | None) -> Outcome:
    failed = _last(own, FailedLine)
    end = _last(own, EndLine)
    if failed:
        return Outcome("failed", failed.stage, failed.kind, failed.reason, failed.signal or "")
    if end is None:
        return Outcome("agent-died", reason=agent_died or "the agent's process ended without a last line")
    if end.status == "stopped":
        return Outcome("stopped", reason=f"stopped by the user after {len(rounds)} rounds")
    if not stats.is_enough(rounds, request.plan):
        return Outcome(
            "budget",
            reason=f"not within +/-{request.plan.precision:.1%} after {request.plan.seconds_max:g} s",
        )
    return Outcome("complete")


def _golden_check(line: GoldenLine, spec: dict[str, Any]) -> GoldenCheck:
    return GoldenCheck(
        passed=line.passed,
        count=spec["golden"]["count"],
        outputs_base64=line.outputs,
        relative_error=line.relative_error,
        max_abs_diff=line.max_abs_diff,
        agreement_with_host=line.agreement_with_host,
        agreement_with_parent=line.agreement_with_parent,
    )


def _readings(own: list[AnyLine]) -> tuple[EnergyReading, ...]:
    """One reading per meter. One that stopped answering has the windows before that, and says why there are no more;
    one whose windows never came (the job ended before) says so.
    """
    said: dict[str, list[MeterLine]] = {}
    for entry in own:
        if isinstance(entry, MeterLine):
            said.setdefault(entry.meter, []).append(entry)
    readings = []
    for meter, lines in said.items():
        windows = tuple(
            EnergyWindow(e.idle_s, e.idle_j, e.active_s, e.active_j, e.inferences)
            for e in own
            if isinstance(e, EnergyLine) and e.meter == meter
        )
        reason = lines[-1].reason
        if windows:
            readings.append(EnergyReading(meter, lines[0].provenance, reason, windows))
        else:
            readings.append(EnergyReading(meter, "unavailable", reason or "the job ended before its windows"))
    return tuple(readings)


def _last(entries: Sequence[AnyLine], type_: type[_LineT]) -> _LineT | None:
    found = None
    for entry in entries:
        if isinstance(entry, type_):
            found = entry
    return found
