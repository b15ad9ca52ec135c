"""Is this record trustworthy? valid, suspect or invalid, each reason with its numbers and a remedy.

One function per rule; RULES is the list. A rule looks at one record and yields reasons. Those about how a latency
behaved over time are in edgebench/behaviour.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from device_agents.python import series
from edgebench import behaviour, energy, stats
from edgebench.record import Cooling, Record

Level = Literal["valid", "suspect", "invalid"]

_REMEDIES = {
    "wrong": "It answers differently here than where it was exported: update the runtime, or export it again",
    "error": "The runtime refuses it: export it again, or for an older runtime",
    "fallback": "Export it without them (inspect shows which), or measure it on the CPU: it was not timed like that",
    "crashed": "It takes its runtime down: export it again, and do not load it in an application",
    "timeout": "It hangs: try it alone, or give it a faster device",
}
DRIFT_LIMIT = 0.05
# A steady trend (Mann-Kendall, one in a thousand by chance) counts as a drift from the plan's precision on.
STEADY_TREND_Z = 3.3
OTHERS_LIMIT = 0.25
SLOW_ROUND = 0.1
SLOW_SHARE = 0.1
ACCURACY_LIMIT = 0.005
# Of a round's time, what belongs to no inference: reading the clock takes a few percent of the shortest ones.
STILL_LIMIT = 0.1
LOWERED_CLOCK = 0.9
LOWERED_SHARE = 0.1
# More than one in a hundred: the rate that p99 can keep.
MISSED_LIMIT = 0.01
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
        yield _imprecise(record)


def _imprecise(record: Record) -> Reason:
    plan = record.plan
    if plan.precision is None:
        seen = f"{len(record.rounds)} rounds in {plan.seconds_max:g} s, the plan asks for {plan.rounds_min}"
        return Reason("suspect", seen, "It is too slow for this plan: --plan quick")
    median = stats.latency_ns(record.rounds, 0.5)
    reached = f"{len(record.rounds)} rounds give p50 no interval"
    if median is not None and median.relative is not None:
        reached = f"p50 is known to +/-{median.relative:.1%}"
        if median.relative <= plan.precision:
            reached += " only in the end, or of rounds that resemble one another"
    longer = "" if plan.preset == "default" else ", or give it longer: --plan default"
    return Reason("suspect", f"{reached}, asked for +/-{plan.precision:.1%}", f"Close other programs{longer}")


def too_few_values(record: Record) -> Iterator[Reason]:
    values = stats.values_count(record.rounds)
    if record.rounds and values < record.plan.values_min:
        yield Reason(
            "suspect", f"{values} values, the plan asks for {record.plan.values_min}",
            "It is slow: its percentiles are few numbers. --plan mlperf gives it longer",
        )  # fmt: skip


def short_window(record: Record) -> Iterator[Reason]:
    """Every round of a plan with windows has to be long enough, on the device's clock."""
    plan = record.plan
    short = [
        (round_.duration_ns or 0, round_.inferences)
        for round_ in record.rounds
        if (round_.duration_ns or 0) < plan.window_s_min * 1e9 or round_.inferences < plan.window_inferences_min
    ]
    if short:
        shortest_ns, inferences = min(short)
        yield Reason(
            "invalid",
            f"{len(short)} of {len(record.rounds)} windows are shorter than {plan.window_s_min:g} s or "
            f"{plan.window_inferences_min} inferences: {shortest_ns / 1e9:.2f} s, {inferences} inferences",
            "Deploy again; if it stays so, the device's clock jumps",
        )


def answers_unchecked(record: Record) -> Iterator[Reason]:
    if record.means_only and record.outcome.status != "failed":
        yield Reason(
            "suspect",
            "benchmark_model timed itself: each round is one mean, and nobody saw its answers",
            "For checked answers and percentiles measure it with another runtime, litert for one",
        )
    elif record.golden is None and record.outcome.status != "failed":
        yield Reason(
            "suspect",
            "its answers were not checked: no golden inputs",
            "Deploy a bundle from `edgebench export`",
        )


def other_accuracy(record: Record) -> Iterator[Reason]:
    """The same file on the same images: only roundings may differ between the host and here."""
    parity, answers = record.artifact.parity, record.answers
    if parity is None or answers is None:
        return
    here = stats.accuracy(answers)
    if abs(here.value - parity.accuracy) > ACCURACY_LIMIT:
        yield Reason(
            "suspect",
            f"it is right on {here.value:.2%} of the test images here, on the host on {parity.accuracy:.2%}",
            "The runtimes compute it differently: update the older one, then export and deploy again",
        )


def not_scored(record: Record) -> Iterator[Reason]:
    if record.plan.accuracy and record.answers is None and record.outcome.status in ("complete", "budget"):
        yield Reason(
            "suspect", "its accuracy was asked for, and the device did not answer the whole test set",
            "Deploy again with --accuracy",
        )  # fmt: skip


def never_warm(record: Record) -> Iterator[Reason]:
    if record.stationary is False:
        yield Reason(
            "suspect", f"the latency was still moving after {record.plan.warmup_max_s:g} s of warm-up",
            "Let the device idle, fix the governor, or use --plan default",
        )  # fmt: skip


def gate_stayed_shut(record: Record) -> Iterator[Reason]:
    if record.gate_open is False:
        yield Reason("suspect", _why_shut(record), "Let it cool, or cool it, then deploy again")


def _why_shut(record: Record) -> str:
    waited = f"after {record.plan.gate_max_s:g} s of waiting"
    cooling = record.cooling
    if cooling is None:
        return f"it was still hot {waited}"
    _, celsius, clock_hz = cooling.curve[-1]
    if None not in (celsius, cooling.limit_c) and celsius > cooling.limit_c:  # type: ignore[operator]
        return f"it was still at {celsius:.1f} °C {waited}, not below {cooling.limit_c:.1f} °C{_cooled(cooling)}"
    if None not in (clock_hz, cooling.limit_hz) and clock_hz < cooling.limit_hz:  # type: ignore[operator]
        return f"its clock was still limited to {clock_hz / 1e9:.2f} GHz {waited}, not {cooling.limit_hz / 1e9:.2f}"  # type: ignore[operator]
    return f"it was still throttled {waited}"


def _cooled(cooling: Cooling) -> str:
    """How fast it got there, as measured."""
    first = cooling.curve[0]
    last = cooling.curve[-1]
    if first[1] is None or last[1] is None or last[0] <= first[0]:
        return ""
    return f"; it lost {first[1] - last[1]:.1f} °C in {last[0] - first[0]:.0f} s"


def throttled(record: Record) -> Iterator[Reason]:
    """The live bits of any look at it or at the end, and the since-boot bits that appeared during the job.

    A plan that looks for throttling has found it then; a weak supply is a fault in any case.
    """
    seen = 0
    for round_ in record.rounds:
        seen |= round_.throttled or 0
    before = record.facts_before.throttled or 0
    after = (record.facts_after.throttled if record.facts_after else None) or 0
    bits = (seen | after | ((seen | after) & ~before) >> 16) & 0xF
    if record.plan.sustained:
        bits &= ~behaviour.THROTTLED_BITS
    if bits:
        names = ", ".join(name for bit, name in _THROTTLE_BITS.items() if bits >> bit & 1)
        yield Reason("invalid", f"the board reported: {names}", "A 3 A supply, a short cable, a heat sink")


def slow_clock(record: Record) -> Iterator[Reason]:
    found = None if record.plan.sustained else behaviour.lowered_clock(record.rounds, LOWERED_CLOCK)
    if found is None:
        return
    lowered, highest = found
    seen = sum(round_.clock_hz is not None for round_ in record.rounds)
    if len(lowered) > LOWERED_SHARE * seen:
        yield Reason(
            "suspect",
            f"the clock was down to {min(lowered) / 1e9:.2f} GHz in {len(lowered)} of {seen} rounds, not "
            f"{highest / 1e9:.2f} GHz; governor {record.facts_before.governor or 'unknown'}",
            "Set the governor to performance, and cool it",
        )


def other_threads(record: Record) -> Iterator[Reason]:
    """As it ran, not as it was asked for."""
    runtime, asked = record.runtime, record.target.threads
    if record.target.device != "cpu" or runtime.threads is None:
        return
    if runtime.threads > asked:
        yield Reason(
            "suspect", f"{asked} threads were asked for, {runtime.name} started {runtime.threads}",
            "Compare it with records of as many threads only",
        )  # fmt: skip
    elif runtime.cpus and asked > len(runtime.cpus):
        yield Reason(
            "suspect", f"{asked} threads shared {len(runtime.cpus)} processors",
            "Lower `threads`, or widen `cpus`, in targets.yaml",
        )  # fmt: skip


def on_battery(record: Record) -> Iterator[Reason]:
    ends = (record.facts_before, record.facts_after)
    if any(facts is not None and facts.on_battery for facts in ends):
        yield Reason("suspect", "it ran on its battery, which lowers the clock on many machines", "Plug it in")


def drifted(record: Record) -> Iterator[Reason]:
    if record.plan.sustained:
        return  # that is what it looks for
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    if len(medians) < series.WINDOWS // 2:
        return
    half = len(medians) // 2
    change = statistics.median(medians[half:]) / statistics.median(medians[:half]) - 1
    is_steady_trend = abs(series.trend_z(medians)) > STEADY_TREND_Z
    if abs(change) > ((record.plan.precision or DRIFT_LIMIT) if is_steady_trend else DRIFT_LIMIT):
        yield Reason(
            "suspect",
            f"p50 moved by {change:+.1%} from the first half to the second",
            "Wait, then deploy again",
        )


def unsteady(record: Record) -> Iterator[Reason]:
    """Rounds that were slowed as a whole: the median over rounds leaves them out, the reader should know of them."""
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    if not medians or record.plan.sustained:
        return
    typical = statistics.median(medians)
    slow = [median / typical - 1 for median in medians if median / typical - 1 > SLOW_ROUND]
    if len(slow) > SLOW_SHARE * len(medians):
        yield Reason(
            "suspect", f"{len(slow)} of {len(medians)} rounds were slower by {statistics.median(slow):.0%}",
            "Something slows the whole device now and then: another program, or its clock",
        )  # fmt: skip


def two_levels(record: Record) -> Iterator[Reason]:
    if record.plan.sustained or any(unsteady(record)) or any(drifted(record)):
        return  # whole rounds on another level have been said
    levels = behaviour.two_levels(record.rounds)
    if levels is not None:
        yield Reason(
            "suspect",
            f"its latencies have two levels, {levels.low_ns / 1e6:.3g} and {levels.high_ns / 1e6:.3g} ms "
            f"({levels.high_share:.0%} of them), and nothing between",
            "Two clocks or two kinds of cores: fix the governor, or pin it with `cpus` in targets.yaml",
        )


def stood_still(record: Record) -> Iterator[Reason]:
    share = behaviour.stood_still(record.rounds)
    if share > STILL_LIMIT:
        yield Reason(
            "suspect", f"for {share:.0%} of its time it stood still between inferences",
            "Something suspends it: another program of higher priority, or a virtual machine's host",
        )  # fmt: skip


def too_late(record: Record) -> Iterator[Reason]:
    missed, whole = behaviour.missed(record.rounds)
    if whole and missed > MISSED_LIMIT * whole:
        duty_hz = record.plan.duty_hz or 0.0
        yield Reason(
            "suspect", f"{missed} of {whole} inferences were not done when the next was due, at {duty_hz:g} a second",
            f"The device cannot keep this rate: --plan duty:{duty_hz / 2:g}",
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


def energy_doubtful(record: Record) -> Iterator[Reason]:
    for doubt in energy.doubts(record):
        yield Reason("suspect", doubt.seen, doubt.remedy)


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
    too_few_values,
    short_window,
    answers_unchecked,
    other_accuracy,
    not_scored,
    never_warm,
    gate_stayed_shut,
    throttled,
    slow_clock,
    other_threads,
    on_battery,
    drifted,
    unsteady,
    two_levels,
    stood_still,
    too_late,
    other_load,
    energy_doubtful,
    interrupted,
)
