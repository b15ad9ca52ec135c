"""Numbers as cells of a table."""

from __future__ import annotations

import math

from edgebench.analysis.formatting import NOTHING, significant
from edgebench.schema.estimate import Estimate
from edgebench.studies.study.figures._values import Summary

SEEDS = "±: half of the 95 % interval over seeds (Student's t); with n = 1 there is no interval."
WHISKERS = "Whiskers: 95 % interval over seeds (Student's t); with n = 1 there is no interval."


def decimals(summary: Summary | None, digits: int) -> str:
    """`87.31 ± 0.42`, with that many decimals."""
    if summary is None:
        return NOTHING
    half = summary.estimate.half_width
    return f"{summary.mean:,.{digits}f}" + ("" if half is None else f" ± {half:,.{digits}f}")


def three_digits(summary: Summary | None) -> str:
    """`0.0123 ± 0.0004`, for values of any magnitude."""
    return NOTHING if summary is None else with_spread(summary.estimate)


def with_spread(estimate: Estimate | None) -> str:
    """Two digits of the interval, and the value to the same decimal; both ends if the interval is asymmetric."""
    if estimate is None:
        return NOTHING
    half = estimate.half_width
    if not half or estimate.low is None or estimate.high is None:
        return significant(estimate.value) + ("" if half is None else " ± 0")
    digits = max(0, 1 - math.floor(math.log10(half)))
    below, above = (f"{end:,.{digits}f}" for end in (estimate.value - estimate.low, estimate.high - estimate.value))
    if below != above:
        return f"{estimate.value:,.{digits}f} ({estimate.low:,.{digits}f} to {estimate.high:,.{digits}f})"
    return f"{estimate.value:,.{digits}f} ± {half:,.{digits}f}"


def whole(summary: Summary | None) -> str:
    """`101,930`; if seeds differ, as by two zeros in a million weights, their range."""
    if summary is None:
        return NOTHING
    low, high = min(summary.values), max(summary.values)
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
