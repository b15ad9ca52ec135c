"""The latency's behaviour over time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from device_agents.python import series
from edgebench.analysis import latency_patterns, stats
from edgebench.analysis.verdict.reason import Reason
from edgebench.schema.record import Record

DRIFT_LIMIT = 0.05
# A steady trend (Mann-Kendall; by chance one in a thousand) is a drift if it exceeds the plan's precision.
STEADY_TREND_Z = 3.3
SLOW_ROUND = 0.1
SLOW_SHARE = 0.1
# Share of a round's time outside inferences: for the shortest ones, reading the clock takes a few percent.
STILL_LIMIT = 0.1
# One in a hundred: what p99 tolerates.
MISSED_LIMIT = 0.01


def never_warm(record: Record) -> Iterator[Reason]:
    if record.stationary is False:
        yield Reason(
            "suspect", f"the latency was still moving after {record.plan.warmup_max_s:g} s of warm-up",
            "Let the device idle, fix the governor, or use --plan default",
        )  # fmt: skip


def drifted(record: Record) -> Iterator[Reason]:
    if record.plan.sustained:
        return  # such a plan looks for drift
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
    """Rounds that were slowed as a whole: the median over rounds ignores them, but the reader should know."""
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    if not medians or record.plan.sustained:
        return
    typical = statistics.median(medians)
    slow = [median / typical - 1 for median in medians if median / typical - 1 > SLOW_ROUND]
    if len(slow) > SLOW_SHARE * len(medians):
        yield Reason(
            "suspect", f"{len(slow)} of {len(medians)} rounds were slower by {statistics.median(slow):.0%}",
            "Something slows the whole device at times: another program, or its clock",
        )  # fmt: skip


def two_levels(record: Record) -> Iterator[Reason]:
    if record.plan.sustained or any(unsteady(record)) or any(drifted(record)):
        return  # rounds on another level as a whole have been reported
    levels = latency_patterns.two_levels(record.rounds)
    if levels is not None:
        yield Reason(
            "suspect",
            f"its latencies have two levels, {levels.low_ns / 1e6:.3g} and {levels.high_ns / 1e6:.3g} ms "
            f"({levels.high_share:.0%} of them), with nothing in between",
            "Two clocks or two kinds of cores: fix the governor, or pin it with `cpus` in targets.yaml",
        )


def stood_still(record: Record) -> Iterator[Reason]:
    share = latency_patterns.stood_still(record.rounds)
    if share > STILL_LIMIT:
        yield Reason(
            "suspect", f"for {share:.0%} of the time it paused between inferences",
            "Something suspends it: a program of higher priority, or a virtual machine's host",
        )  # fmt: skip


def too_late(record: Record) -> Iterator[Reason]:
    missed, whole = latency_patterns.missed(record.rounds)
    if whole and missed > MISSED_LIMIT * whole:
        duty_hz = record.plan.duty_hz or 0.0
        yield Reason(
            "suspect",
            f"{missed} of {whole} inferences were not finished when the next was due, at {duty_hz:g} per second",
            f"The device cannot sustain this rate: --plan duty:{duty_hz / 2:g}",
        )
