"""A journal becomes records: one for each artifact of the job, with everything that was written about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from edgebench.analysis import stats
from edgebench.device import accuracy
from edgebench.device.job_store import Request, Test
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
    decode,
)
from edgebench.schema.energy_reading import ClockAlignment, EnergyReading, EnergyWindow, Flag, IdleWindow, Provenance
from edgebench.schema.facts import Facts
from edgebench.schema.plan import Plan
from edgebench.schema.record import (
    SCHEMA_VERSION,
    Answers,
    Cooling,
    FedInput,
    GoldenCheck,
    Load,
    MeasuredTarget,
    Memory,
    Outcome,
    Record,
    Round,
    Runtime,
    Series,
)

_LineT = TypeVar("_LineT", bound=Line)
AttachedMeter = Callable[[int, Sequence[AnyLine]], EnergyReading]


def to_records(
    request: Request,
    lines: Sequence[bytes],
    *,
    agent_died: str | None,
    version: str,
    attached: AttachedMeter | None = None,
) -> list[Record]:
    """One record per artifact of the job.

    agent_died: what the agent last said if its process ended without an `end` line; None if it did not.
    version: of edgebench. attached: what a meter on this machine has seen of an artifact, from all lines.
    """
    where = f"target '{request.target.name}', job {request.id}"
    entries = [decode(line, where, artifacts=len(request.artifacts)) for line in lines]
    records = []
    for index in range(len(request.artifacts)):
        seen = (attached(index, entries),) if attached else ()
        records.append(_record(request, index, entries, agent_died, version, seen))
    return records


def _record(
    request: Request,
    index: int,
    entries: list[AnyLine],
    agent_died: str | None,
    version: str,
    attached: tuple[EnergyReading, ...],
) -> Record:
    target, artifact = request.target, request.artifacts[index]
    own = [entry for entry in entries if getattr(entry, "artifact", index) == index]
    facts = {entry.when: entry.facts for entry in own if isinstance(entry, FactsLine)}
    loaded = _last(own, LoadedLine)
    golden = _last(own, GoldenLine)
    memory = _last(own, MemoryLine)
    warm = _last(own, WarmLine)
    gate = _last([e for e in own if not isinstance(e, GateLine) or index in (e.artifacts or [index])], GateLine)
    load = _last(own, LoadLine)
    rounds = tuple(
        Round(
            start_ns=e.start_ns,
            block=e.block,
            values_ns=tuple(e.values_ns),
            number=e.round,
            temperature_c=e.temperature_c,
            throttled=e.throttled,
            clock_hz=e.clock_hz,
            duration_ns=e.duration_ns,
            missed=e.missed,
            interrupted=e.interrupted,
        )
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
            threads=loaded.threads if loaded else None,
            cpus=tuple(loaded.cpus) if loaded else (),
        ),
        outcome=_outcome(request, own, rounds, agent_died),
        facts_before=facts.get("before", Facts()),
        facts_after=facts.get("after"),
        load_ns=loaded.load_ns if loaded else None,
        first_inference_ns=loaded.first_inference_ns if loaded else None,
        golden=_golden_check(golden, request.specs[index]) if golden else None,
        memory=Memory(memory.bare, memory.loaded, memory.running, memory.reset) if memory and memory.running else None,
        warmup=tuple(Series(e.start_ns, e.block, tuple(e.values_ns)) for e in own if isinstance(e, WarmupLine)),
        fed=tuple(FedInput(one.name, tuple(one.shape), one.dtype) for one in loaded.inputs) if loaded else (),
        signature=loaded.signature if loaded else "",
        stationary=warm.stationary if warm else None,
        gate_open=gate.open if gate else None,
        cooling=Cooling(gate.waited_s, gate.limit_c, gate.limit_hz, tuple(gate.curve)) if gate else None,
        load=Load(load.wall_s, load.own_s, load.busy_s, load.steal_s, load.clocks_s) if load else None,
        rounds=rounds,
        energy=tuple(_charged(reading, facts) for reading in (*_readings(own), *attached)),
        answers=_answers(own, request.tests.get(artifact.name)),
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
            reason=f"not {_aim(request.plan)} after {request.plan.seconds_max:g} s",
        )
    return Outcome("complete")


def _aim(plan: Plan) -> str:
    return "all of its rounds" if plan.precision is None else f"within +/-{plan.precision:.1%}"


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
    """One reading for each scope of each of the device's meters. One that stopped answering has the windows before
    that, and says why there are no more; one whose windows never came (the job ended before) says so.
    """
    said: dict[str, list[MeterLine]] = {}
    for entry in own:
        if isinstance(entry, MeterLine):
            said.setdefault(entry.meter, []).append(entry)
    readings = []
    for lines in said.values():
        scopes = lines[0].scopes or {"": ("unavailable", "")}
        readings += [_reading(lines, scope, *told, own) for scope, told in scopes.items()]
    return tuple(readings)


def _reading(lines: list[MeterLine], scope: str, provenance: Provenance, why: str, own: list[AnyLine]) -> EnergyReading:
    meter = lines[0].meter
    windows = tuple(
        EnergyWindow(inferences=entry.inferences, clock_hz=entry.clock_hz, **_inferring(entry, meter, scope))
        for entry in own
        if isinstance(entry, EnergyLine) and scope in entry.joules.get(meter, {})
    )  # fmt: skip
    idle = tuple(
        IdleWindow(**_seen(entry, meter, scope))
        for entry in own
        if isinstance(entry, IdleLine) and scope in entry.joules.get(meter, {})
    )
    if not windows:
        others = any(meter in entry.joules for entry in own if isinstance(entry, EnergyLine))
        none = "its counter of this scope stood still" if others else "the job ended before its windows"
        reason = lines[-1].reason or none
        return EnergyReading(meter, "unavailable", reason, scope)
    reason = "; ".join(part for part in (why, lines[-1].reason) if part)
    return EnergyReading(
        meter, provenance, reason, scope, lines[0].note, lines[0].instrument, ClockAlignment("same_clock"),
        idle, windows,
    )  # fmt: skip


# What a battery takes or gives is in the joules of these.
_WITH_BATTERY = ("battery", "board_input", "wall")


def _charged(reading: EnergyReading, facts: Mapping[str, Facts]) -> EnergyReading:
    """With the flag `charging` if the device's battery was being charged before or after."""
    if not reading.windows or reading.scope not in _WITH_BATTERY or not any(one.charging for one in facts.values()):
        return reading
    return msgspec.structs.replace(reading, flags=(*reading.flags, "charging"))


def _seen(entry: IdleLine | EnergyLine, meter: str, scope: str) -> dict[str, Any]:
    """What a meter of the device saw of a window."""
    return {
        **of_device(entry),
        "flags": board_flags(entry.throttled),
        "energy_j": entry.joules[meter][scope],
        "u_j": entry.u_j.get(meter, {}).get(scope, 0.0),
    }


def _inferring(entry: EnergyLine, meter: str, scope: str) -> dict[str, Any]:
    """The same of a window of inferences."""
    seen = _seen(entry, meter, scope)
    if meter in entry.in_step:
        seen["flags"] = (*seen["flags"], "aliasing")
    return {**seen, "u_common_j": entry.u_common_j.get(meter, {}).get(scope, 0.0)}


def of_device(entry: IdleLine | EnergyLine) -> dict[str, Any]:
    """What the device itself says of a window, whichever meter looked on."""
    return {
        "round": entry.round,
        "start_ns": entry.start_ns,
        "duration_s": entry.duration_s,
        "temperature_c": entry.temperature_c,
    }


_BOARD_FLAGS: tuple[Flag, ...] = ("undervoltage", "freq_capped", "throttled", "soft_temp")


def board_flags(throttled: int | None) -> tuple[Flag, ...]:
    """What the live bits of the board's firmware say (device_agents/python/facts.py: throttled)."""
    return tuple(flag for bit, flag in enumerate(_BOARD_FLAGS) if (throttled or 0) >> bit & 1)


def _answers(own: list[AnyLine], test: Test | None) -> Answers | None:
    """None unless the whole test set was answered: a part of it has another accuracy."""
    if test is None:
        return None
    pieces = {entry.piece: entry.classes for entry in own if isinstance(entry, AnswersLine)}
    counts = [len(pieces.get(number, ())) for number in range(len(test.pieces))]
    if counts != [count for _, count in test.pieces]:
        return None
    classes = [class_ for number in range(len(counts)) for class_ in pieces[number]]
    return Answers(test.dataset, len(classes), accuracy.classes(classes), test.labels_base64)


def _last(entries: Sequence[AnyLine], type_: type[_LineT]) -> _LineT | None:
    found = None
    for entry in entries:
        if isinstance(entry, type_):
            found = entry
    return found
