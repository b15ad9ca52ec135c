"""The record's content: rounds, values, checked answers, and which of them are missing."""

from __future__ import annotations

from collections.abc import Iterator

from device_agents.python import series
from edgebench.analysis import device_scores, stats
from edgebench.analysis.verdict import failures
from edgebench.analysis.verdict.reason import Reason
from edgebench.schema.record import Record

ACCURACY_LIMIT = 0.005
# Metrics from 0 to 1, and what any network that was trained for its task exceeds.
SHARES, USEFUL = ("detection", "segmentation", "multilabel"), 0.01


def did_not_complete(record: Record) -> Iterator[Reason]:
    outcome = record.outcome
    if outcome.status == "failed":
        why = failures.explain(outcome)
        yield Reason("invalid", f"failed in {outcome.stage}: {why.seen}", why.remedy)
    elif outcome.status == "agent-died":
        yield Reason("invalid", f"the agent died after {len(record.rounds)} rounds: {outcome.reason}", "Deploy again")
    elif outcome.status == "stopped":
        yield Reason("invalid", outcome.reason, "Deploy again and let it finish")
    elif outcome.status == "budget":
        yield _imprecise(record)


def _imprecise(record: Record) -> Reason:
    plan = record.plan
    if plan.precision is None:
        seen = f"{len(record.rounds)} rounds in {plan.seconds_max:g} s, the plan requires {plan.rounds_min}"
        return Reason("suspect", seen, "It is too slow for this plan: --plan quick")
    median = stats.latency_ns(record.rounds, 0.5)
    reached = f"{len(record.rounds)} rounds give p50 no interval"
    if median is not None and median.low is not None and median.high is not None and median.half_width is not None:
        low, high = median.low / median.value - 1, median.high / median.value - 1
        digits = 1 if max(-low, high) >= 0.01 else 2
        reached = f"p50 is known to {low:+.{digits}%} / {high:+.{digits}%}"
        if median.half_width <= plan.precision * median.value:
            reached += _why_not_believed(record)
    longer = "" if plan.preset == "default" else ", or measure for longer: --plan default"
    return Reason("suspect", f"{reached}, the plan requires +/-{plan.precision:.1%}", f"Close other programs{longer}")


def _why_not_believed(record: Record) -> str:
    """The stop rule wants independent rounds, and an interval that is narrow well before the end."""
    medians = stats.round_quantiles_ns(record.rounds, 0.5)
    effective = series.effective_count(medians)
    if effective < series.EFFECTIVE_ROUNDS_MIN:
        return f", but its {len(medians)} rounds drift together and count as {effective:.0f} independent ones"
    return ", but only since the last third of the rounds"


def too_few_values(record: Record) -> Iterator[Reason]:
    values = stats.values_count(record.rounds)
    if record.rounds and values < record.plan.values_min:
        yield Reason(
            "suspect", f"{values} values, the plan requires {record.plan.values_min}",
            "It is slow, so percentiles rest on few values. --plan mlperf measures for longer",
        )  # fmt: skip


def short_window(record: Record) -> Iterator[Reason]:
    """In a plan with windows every round must be long enough, on the device's clock."""
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
            "Deploy again; if this persists, the device's clock jumps",
        )


def answers_unchecked(record: Record) -> Iterator[Reason]:
    if record.means_only and record.outcome.status != "failed":
        yield Reason(
            "suspect",
            "benchmark_model timed itself: each round is a single mean, and its answers were not checked",
            "For checked answers and percentiles measure it with another runtime, such as litert",
        )
    elif record.golden is None and record.outcome.status != "failed":
        yield Reason(
            "suspect",
            "its answers were not checked: no golden inputs",
            "Deploy a bundle from `edgebench export`",
        )


def answered_wrongly(record: Record) -> Iterator[Reason]:
    """It should never have been timed; a failure for this reason is reported elsewhere."""
    golden = record.golden
    if golden is None or golden.passed or record.outcome.status == "failed":
        return
    wrong = golden.outputs[golden.wrong]
    error = "not a number" if wrong.relative_error is None else f"{wrong.relative_error:.2g}"
    which = f" of output {golden.wrong + 1}" if len(golden.outputs) > 1 else ""
    yield Reason(
        "invalid",
        f"its answers to the {golden.count} golden inputs are wrong (relative error{which} {error})",
        failures.WRONG,
    )


def other_accuracy(record: Record) -> Iterator[Reason]:
    """The same file on the same images: between host and device only rounding may differ."""
    parity, answers = record.artifact.parity, record.answers
    if parity is None or parity.accuracy is None or answers is None:
        return
    here = stats.accuracy(answers)
    if abs(here.value - parity.accuracy) > ACCURACY_LIMIT:
        yield Reason(
            "suspect",
            f"accuracy on the device {here.value:.2%}, on the host {parity.accuracy:.2%}",
            "The runtimes differ: update the older one, then export and deploy again",
        )


def other_score(record: Record) -> Iterator[Reason]:
    """As `other_accuracy`, of a metric that is not top-1."""
    parity, score = record.artifact.parity, device_scores.first(record)
    if parity is None or parity.score is None or score is None or record.scored is None:
        return
    if (parity.metric, parity.images) != (score.metric, record.scored.images):
        return
    if abs(score.value - parity.score) > ACCURACY_LIMIT * max(1.0, abs(parity.score)):
        here, there = device_scores.number(score.value), device_scores.number(parity.score)
        yield Reason(
            "suspect",
            f"{score.metric} on the device {here}, on the host {there}",
            "The runtimes differ: update the older one, then export and deploy again",
        )


def answers_of_no_use(record: Record) -> Iterator[Reason]:
    """More often the images or the order of classes than the network."""
    score = device_scores.first(record)
    if score is None or record.scored is None or record.scored.task not in SHARES or score.value >= USEFUL:
        return
    yield Reason(
        "suspect",
        f"{score.metric} is {score.value:.4f}: its answers are of no use",
        "Check how images are prepared (--preprocessing, --letterbox or --resize), the order of classes, and --head",
    )


def not_scored(record: Record) -> Iterator[Reason]:
    is_scored = record.answers is not None or record.scored is not None
    if record.plan.accuracy and not is_scored and record.outcome.status in ("complete", "budget"):
        yield Reason(
            "suspect", "accuracy was requested, but the device did not answer the whole test set",
            "Deploy again with --accuracy",
        )  # fmt: skip
