"""What every report says in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgebench.compare import Comparison, OutputsMatch, Row
from edgebench.energy import EnergyPerInference
from edgebench.report import _format


@dataclass(frozen=True)
class Remark:
    """Something said about rows: why they are not valid, or what differs from their baseline."""

    level: Literal["suspect", "invalid", "note"]
    text: str
    rows: str
    """`(1)(3)`: the rows it is about, counted from 1; `all` if they are all."""


def remarks(rows: Sequence[Row]) -> list[Remark]:
    """What is said about any of the rows, each thing once; the worst first."""
    said: dict[tuple[Literal["suspect", "invalid", "note"], str], list[int]] = {}
    for number, row in enumerate(rows, start=1):
        for reason in row.verdict.reasons:
            said.setdefault((reason.level, f"{reason.seen}. {reason.remedy}"), []).append(number)
        for difference in row.differences:
            said.setdefault(("note", f"not like the baseline: {difference}"), []).append(number)
    found = [Remark(level, text, _numbered(numbers, len(rows))) for (level, text), numbers in said.items()]
    return sorted(found, key=lambda remark: ["invalid", "suspect", "note"].index(remark.level))


def _numbered(numbers: Sequence[int], count: int) -> str:
    if 1 < count == len(numbers):
        return "all"
    return "".join(f"({number})" for number in numbers)


def notes(comparison: Comparison) -> Iterator[str]:
    """Lines that belong under the table."""
    targets = {row.record.target.name: row.record.target for row in comparison.rows}
    for name, target in targets.items():
        if target.emulated:
            yield (
                f"{name} is emulated: its times count instructions of an emulator, are no device's times, and are "
                "compared with nothing but its own."
            )
    yield from _energy(comparison)
    for match in comparison.outputs:
        yield outputs(match)


def _energy(comparison: Comparison) -> Iterator[str]:
    """How exact the joules are, why there are no ratios of some, and for every source that says none, why."""
    rows = comparison.rows
    yield from dict.fromkeys(_exactness(row, one) for row in rows for one in row.energy)
    ratios = [ratio for row in rows for ratio in row.energy_ratios if isinstance(ratio, str)]
    for why in dict.fromkeys(ratios):
        yield f"No ratio of energies: {why}."
    for why in dict.fromkeys(why for row in rows for why in row.no_energy):
        yield f"No energy: {why}."


def _exactness(row: Row, one: EnergyPerInference) -> str:
    """What does not show in the interval between windows."""
    reading = next(read for read in row.record.energy if (read.meter, read.scope) == (one.meter, one.scope))
    source = f"{one.meter} {one.scope}"
    if one.provenance != "measured":
        return f"Energy of {source} is {one.provenance}: {reading.reason}."
    if one.u_systematic_j is None or one.net_j is None:
        exact = "nobody states its accuracy, so its uncertainty is unknown"
    else:
        source_of = reading.instrument.accuracy_source if reading.instrument else ""
        exact = f"the meter itself is within ±{2 * one.u_systematic_j / abs(one.net_j.value):.1%} ({source_of})"
    aligned = reading.alignment
    clock = f"; its clock is known to ±{2e3 * aligned.u_s:.1f} ms" if aligned and aligned.method == "rtt" else ""
    return f"Energy of {source}: {exact}{clock}."


def outputs(match: OutputsMatch) -> str:
    if match.identical:
        return f"{match.artifact}: outputs on {match.target} are bit-identical to {match.other}."
    return (
        f"{match.artifact}: outputs on {match.target} differ from {match.other} by at most {match.max_abs_diff:.3g}, "
        f"top-1 agreement {match.top1_agreement:.1%}."
    )


def memory(row: Row) -> str:
    """The high-water mark of the worker while it runs, runtime included."""
    return _format.size(row.high_water_bytes)


def facts(row: Row) -> list[tuple[str, str]]:
    """The conditions on a target, as (name, value)."""
    facts, target, plan = row.record.facts_before, row.record.target, row.record.plan
    known: dict[str, str | None] = {
        "device": facts.model,
        "processor": facts.cpu and f"{facts.cpu}, {facts.cores} cores {' '.join(facts.cpu_features)}",
        "threads": str(target.threads),
        "governor": facts.governor,
        "clock": f"{facts.clock_hz / 1e9:.2f} GHz" if facts.clock_hz else None,
        "temperature": None if facts.temperature_c is None else f"{facts.temperature_c:.1f} °C",
        "load": None if facts.load_1min is None else f"{facts.load_1min:.1f}",
        "memory": _format.size(facts.ram_bytes),
        "system": f"{facts.os}, kernel {facts.kernel}, {facts.machine}, {facts.libc}, Python {facts.python}",
        "plan": f"{plan.preset}: >= {plan.rounds_min} rounds and {plan.seconds_min:g} s, p50 to ±{plan.precision:.0%}",
        "measured": row.record.created,
        "edgebench": row.record.edgebench,
    }
    return [(name, value) for name, value in known.items() if value]
