"""Whether a record can be trusted: valid, suspect or invalid, each reason with its numbers and a remedy.

One function per rule, in the files beside this one; RULES is the list. A rule looks at one record and yields reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from edgebench.analysis.verdict import conditions, content, energy, steadiness
from edgebench.analysis.verdict.reason import Reason
from edgebench.schema.record import Record

Level = Literal["valid", "suspect", "invalid"]
__all__ = ["RULES", "Level", "Reason", "Verdict", "judge"]


RULES: tuple[Callable[[Record], Iterator[Reason]], ...] = (
    content.did_not_complete,
    content.too_few_values,
    content.short_window,
    content.answered_wrongly,
    content.answers_unchecked,
    content.other_accuracy,
    content.not_scored,
    steadiness.never_warm,
    conditions.gate_stayed_shut,
    conditions.throttled,
    conditions.slow_clock,
    conditions.other_threads,
    conditions.on_battery,
    steadiness.drifted,
    steadiness.unsteady,
    steadiness.two_levels,
    steadiness.stood_still,
    steadiness.too_late,
    conditions.other_load,
    energy.doubtful,
    conditions.short_of_memory,
    conditions.interrupted,
)


@dataclass(frozen=True)
class Verdict:
    level: Level
    reasons: tuple[Reason, ...]


def judge(record: Record) -> Verdict:
    reasons = tuple(reason for rule in RULES for reason in rule(record))
    levels = {reason.level for reason in reasons}
    level: Level = "invalid" if "invalid" in levels else "suspect" if levels else "valid"
    return Verdict(level, reasons)
