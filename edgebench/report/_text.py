"""What every report says in words: reasons, marks and notes, numbered once."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.compare import Comparison, OutputsMatch, Row
from edgebench.report import _format


def reasons(row: Row) -> list[str]:
    """Why a row is not valid, and what differs from its baseline."""
    lines = [f"{reason.seen}. {reason.remedy}" for reason in row.verdict.reasons]
    return lines + [f"not like the baseline: {difference}" for difference in row.differences]


def notes(comparison: Comparison) -> Iterator[str]:
    """Lines that belong under the table."""
    targets = {row.record.target.name: row.record.target for row in comparison.rows}
    for name, target in targets.items():
        if target.emulated:
            yield (
                f"{name} is emulated: its times count instructions of an emulator, are no device's times, and are "
                "compared with nothing but its own."
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
