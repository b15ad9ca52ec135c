"""Is this record trustworthy? valid, suspect or invalid, each reason with its numbers and a remedy.

One function per rule; RULES is the list. A rule looks at one record and yields reasons.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from device_agents.python import series
from edgebench import stats
from edgebench.record import Record

Level = Literal["valid", "suspect", "invalid"]

_REMEDIES = {
    "wrong": "It answers differently here than where it was exported: update the runtime, or export it again",
    "error": "The runtime refuses it: export it again, or for an older runtime",
    "crashed": "It takes its runtime down: export it again, and do not load it in an application",
    "timeout": "It hangs: try it alone, or give it a faster device",
}
DRIFT_LIMIT = 0.05
# A steady trend (Mann-Kendall, one in a thousand by chance) counts as a drift from the plan's precision on.
STEADY_TREND_Z = 3.3
OTHERS_LIMIT = 0.25
SLOW_ROUND = 0.1
SLOW_SHARE = 0.1
_THROTTLE_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True)
class Reason:
    level: Literal["suspect", "invalid"]
    seen: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    level: Level
    reasons: tuple[Reason, ...]


def judge(record: Record) -> Verdict:
    reasons = tuple(reason for rule in RULES for reason in rule(record))
    levels = {reason.level for reason in reasons}
    level: Level = "invalid" if "invalid" in levels else "suspect" if levels else "valid"
    return Verdict(level, reasons)


def did_not_complete(record: Record) -> Iterator[Reason]:
    outcome = record.outcome
    if outcome.status == "failed":
        yield Reason("invalid", f"failed in {outcome.stage}: {outcome.reason}", _REMEDIES[outcome.kind])
    elif outcome.status == "agent-died":
        yield Reason("invalid", f"the agent died after {len(record.rounds)} rounds: {outcome.reason}", "Deploy again")
    elif outcome.status == "stopped":
        yield Reason("invalid", outcome.reason, "Deploy again and let it end")
    elif outcome.status == "budget":
        median = stats.latency_ns(record.rounds, 0.5)
        reached = f"{len(record.rounds)} rounds give p50 no interval"
        if median is not None and median.relative is not None:
            reached = f"p50 is known to +/-{median.relative:.1%}"
        yield Reason(
            "suspect", f"{reached}, asked for +/-{record.plan.precision:.1%}",
            "Close other programs, or give it longer: --plan default",
        )  # fmt: skip


def answers_unchecked(record: Record) -> Iterator[Reason]:
    if record.golden is None and record.outcome.status != "failed":
        yield Reason(
            "suspect",
            "its answers were not checked: no golden inputs",
            "Deploy a bundle from `edgebench export`",
        )


def never_warm(record: Record) -> Iterator[Reason]:
    if record.stationary is False:
        yield Reason(
            "suspect", f"the latency was still moving after {record.plan.warmup_max_s:g} s of warm-up",
            "Let the device idle, fix the governor, or use --plan default",
        )  # fmt: skip


def gate_stayed_shut(record: Record) -> Iterator[Reason]:
    if record.gate_open is False:
        yield Reason(
            "suspect",
            f"it was still hot after {record.plan.gate_max_s:g} s of waiting",
            "Cool it, then again",
        )


def throttled(record: Record) -> Iterator[Reason]:
    """The live bits seen after any round or at the end, and the since-boot bits that appeared during the job."""
    seen = 0
    for round_ in record.rounds:
        seen |= round_.throttled or 0
    before = record.facts_before.throttled or 0
    after = (record.facts_after.throttled if record.facts_after else None) or 0
    bits = (seen | after | (after & ~before) >> 16) & 0xF
    if bits:
        names = ", ".join(name for bit, name in _THROTTLE_BITS.items() if bits >> bit & 1)
        yield Reason("invalid", f"the board reported: {names}", "A 3 A supply, a short cable, a heat sink")


def drifted(record: Record) -> Iterator[Reason]:
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    if len(medians) < series.WINDOWS // 2:
        return
    half = len(medians) // 2
    change = statistics.median(medians[half:]) / statistics.median(medians[:half]) - 1
    is_steady_trend = abs(series.trend_z(medians)) > STEADY_TREND_Z
    if abs(change) > (record.plan.precision if is_steady_trend else DRIFT_LIMIT):
        yield Reason(
            "suspect",
            f"p50 moved by {change:+.1%} from the first half to the second",
            "Wait, then deploy again",
        )


def unsteady(record: Record) -> Iterator[Reason]:
    """Rounds that were slowed as a whole: the median over rounds leaves them out, the reader should know of them."""
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    if not medians:
        return
    typical = statistics.median(medians)
    slow = [median / typical - 1 for median in medians if median / typical - 1 > SLOW_ROUND]
    if len(slow) > SLOW_SHARE * len(medians):
        yield Reason(
            "suspect", f"{len(slow)} of {len(medians)} rounds were slower by {statistics.median(slow):.0%}",
            "Something slows the whole device now and then: another program, or its clock",
        )  # fmt: skip


def other_load(record: Record) -> Iterator[Reason]:
    load = record.load
    if record.target.emulated:
        return  # its processors take turns on one clock: what its kernel counts as busy is no load
    if load is not None and load.others > OTHERS_LIMIT:
        yield Reason(
            "suspect", f"other programs kept {load.others:.2f} processors busy meanwhile",
            "Close them, or wait a minute",
        )  # fmt: skip


def interrupted(record: Record) -> Iterator[Reason]:
    """Rounds that a phone's page broke off were measured again; after many of them the phone was not left alone."""
    broken = [round_.interrupted for round_ in record.rounds if round_.interrupted]
    if len(broken) > SLOW_SHARE * len(record.rounds):
        yield Reason(
            "suspect", f"{len(broken)} of {len(record.rounds)} rounds were broken off and measured again ({broken[0]})",
            "Keep the page in front and the screen on: set its time-out to some minutes",
        )  # fmt: skip


RULES: tuple[Callable[[Record], Iterator[Reason]], ...] = (
    did_not_complete,
    answers_unchecked,
    never_warm,
    gate_stayed_shut,
    throttled,
    drifted,
    unsteady,
    other_load,
    interrupted,
)
