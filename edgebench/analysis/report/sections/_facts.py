"""The conditions on a target, as reports list them."""

from __future__ import annotations

from edgebench.analysis import formatting
from edgebench.analysis.comparison import ComparisonRow
from edgebench.schema.facts import Facts
from edgebench.schema.record import Record


def facts(row: ComparisonRow) -> list[tuple[str, str]]:
    """The conditions on a target, as (name, value)."""
    facts = row.record.facts_before
    known: dict[str, str | int | None] = {
        "device": facts.model,
        "processor": _joined(facts.cpu, facts.cores and f"{facts.cores} cores {' '.join(facts.cpu_features)}"),
        "threads": _threads(row.record),
        "governor": facts.governor,
        "clock": _clock(row.record),
        "temperature": None if facts.temperature_c is None else f"{facts.temperature_c:.1f} °C",
        "load": None if facts.load_1min is None else f"{facts.load_1min:.1f}",
        "memory": facts.ram_bytes and formatting.size(facts.ram_bytes),
        "browser": facts.browser and f"{facts.browser}, {'isolated' if facts.isolated else 'not isolated'}",
        "system": facts.system,
        "power": _power(facts),
        "cooling": _cooling(row.record),
        "plan": _aim(row),
        "measured": row.record.created,
        "edgebench": row.record.edgebench,
    }
    return [(name, str(value)) for name, value in known.items() if value]


def _joined(*parts: str | int | None) -> str:
    return ", ".join(str(part) for part in parts if part)


def _threads(record: Record) -> str:
    """As requested and as seen."""
    runtime = record.runtime
    if runtime.threads is None:
        return str(record.target.threads)
    cpus = ", ".join(map(str, runtime.cpus))
    spun = "" if runtime.spun_s is None else f"; they spun for {1000 * runtime.spun_s:.0f} ms after an inference"
    idle = f", {runtime.idle_threads} idle" if runtime.idle_threads else ""
    return f"{record.target.threads} requested, {runtime.threads} started{idle}, on processors {cpus}{spun}"


def _clock(record: Record) -> str | None:
    """The clock at the start, and the clocks while latencies were measured, for the busiest group of processors."""
    facts, load = record.facts_before, record.load
    if not facts.clock_hz:
        return None
    at_start = f"{facts.clock_hz / 1e9:.2f} GHz"
    if load is None or not load.clocks_s:
        return at_start
    shares = [_residency(times) for times in load.clocks_s.values() if times]
    return f"{at_start}; while measuring {max(shares)[1]}" if shares else at_start


def _residency(times: dict[str, float]) -> tuple[float, str]:
    """The mean clock, which identifies the busiest group, and its three most frequent clocks."""
    whole = sum(times.values())
    mean_hz = sum(int(hz) * seconds for hz, seconds in times.items()) / whole
    longest = sorted(times.items(), key=lambda one: -one[1])[:3]
    return mean_hz, ", ".join(f"{seconds / whole:.0%} at {int(hz) / 1e9:.2f} GHz" for hz, seconds in longest)


def _power(facts: Facts) -> str | None:
    if facts.battery:
        return f"battery at {facts.battery}"
    if facts.on_battery is not None:
        return "battery" if facts.on_battery else "mains"
    return None if facts.supply_a is None else f"a supply of {facts.supply_a:g} A"


def _cooling(record: Record) -> str | None:
    """The measured cooling back to the initial condition."""
    cooling = record.cooling
    if cooling is None or cooling.limit_c is None:
        return None
    first, last = cooling.curve[0][1], cooling.curve[-1][1]
    if first is None or last is None:
        return None
    return f"from {first:.1f} to {last:.1f} °C in {cooling.waited_s:.0f} s, limit {cooling.limit_c:.1f} °C"


def _aim(row: ComparisonRow) -> str:
    """How hard it was measured."""
    plan = row.record.plan
    precision = "" if plan.precision is None else f", p50 to ±{plan.precision:.0%}"
    return f"{plan.preset}: >= {plan.rounds_min} rounds and {plan.seconds_min:g} s{precision}"
