"""Whether a record can be trusted: valid, suspect or invalid, each reason with its numbers and a remedy.

One function per rule, in the files beside this one; RULES is the list. A rule looks at one record and yields reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from edgebench.analysis.verdict import conditions, content, energy, steadiness
from edgebench.analysis.verdict.reason import Reason
from edgebench.schema.record import Record

Level = Literal["valid", "suspect", "invalid"]
__all__ = ["RULES", "Level", "Reason", "Verdict", "judge"]


_BUSY = "the machine was busy or not steady"
_HEAT = "heat, clock or supply"
_UNCHECKED = "unchecked answers"
_SHORT = "too few values"
# Each rule, and the cause that its reasons are counted under.
RULES: tuple[tuple[Callable[[Record], Iterator[Reason]], str], ...] = (
    (content.did_not_complete, "not measured to the end"),
    (content.too_few_values, _SHORT),
    (content.short_window, _SHORT),
    (content.answered_wrongly, "wrong answers"),
    (content.answers_unchecked, _UNCHECKED),
    (content.other_accuracy, "another accuracy than on the host"),
    (content.other_score, "another accuracy than on the host"),
    (content.answers_of_no_use, "answers of no use"),
    (content.not_scored, _UNCHECKED),
    (steadiness.never_warm, _BUSY),
    (conditions.gate_stayed_shut, _HEAT),
    (conditions.throttled, _HEAT),
    (conditions.slow_clock, _HEAT),
    (conditions.other_threads, "other threads than requested"),
    (conditions.on_battery, _HEAT),
    (steadiness.drifted, _BUSY),
    (steadiness.unsteady, _BUSY),
    (steadiness.two_levels, _BUSY),
    (steadiness.stood_still, _BUSY),
    (steadiness.too_late, "slower than the rate that was asked for"),
    (conditions.other_load, _BUSY),
    (energy.doubtful, "energy is not precise"),
    (conditions.short_of_memory, "short of memory"),
    (conditions.interrupted, _BUSY),
)


@dataclass(frozen=True)
class Verdict:
    level: Level
    reasons: tuple[Reason, ...]


def judge(record: Record) -> Verdict:
    reasons = tuple(_under(reason, cause) for rule, cause in RULES for reason in rule(record))
    levels = {reason.level for reason in reasons}
    level: Level = "invalid" if "invalid" in levels else "suspect" if levels else "valid"
    return Verdict(level, reasons)


def _under(reason: Reason, cause: str) -> Reason:
    """A measurement that ran out of its time was not precise: then the machine was at fault, and it did end."""
    is_imprecise = reason.level == "suspect" and cause == RULES[0][1]
    return replace(reason, cause=_BUSY if is_imprecise else cause)
