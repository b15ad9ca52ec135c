"""What every report says in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgebench.compare import Comparison, OutputsMatch, Row
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
    for name in dict.fromkeys(row.record.target.name for row in comparison.rows if row.record.in_browser):
        yield (
            f"{name} ran in a browser (wasm): other kernels than the native runtimes have; a ratio between the two "
            "compares ways to run a file, not devices or precisions."
        )
    for why in dict.fromkeys(row.no_energy for row in comparison.rows if row.no_energy):
        yield f"No energy: {why}."
    for match in comparison.outputs:
        yield outputs(match)


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
        "browser": facts.browser and f"{facts.browser}, {'isolated' if facts.isolated else 'not isolated'}",
        "system": facts.system,
        "battery": facts.battery,
        "plan": f"{plan.preset}: >= {plan.rounds_min} rounds and {plan.seconds_min:g} s, p50 to ±{plan.precision:.0%}",
        "measured": row.record.created,
        "edgebench": row.record.edgebench,
    }
    return [(name, value) for name, value in known.items() if value]
