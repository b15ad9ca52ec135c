"""What reports say of ratios: outcomes, what was not resolved and why, how they were made, what they leave out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from edgebench.analysis import between_jobs, formatting
from edgebench.analysis.between_jobs import Spread
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.resolution import Resolution

# A median of paired ratios that differs from the ratio of the medians by more than this is explained.
_ODD = 0.02


def of_row(row: ComparisonRow) -> Iterator[str]:
    """Notes of one row's ratio."""
    ratio = row.ratio
    if ratio is None or row.is_baseline:
        return
    if row.is_unfair:
        names = ", ".join(one.name for one in row.unlike if one.rule == "equal")
        yield f"UNLIKE, compared anyway: {names} must be equal for a fair ratio"
    if ratio.spread:
        yield _of_jobs(ratio.spread, ratio.value)
    if row.resolution:
        yield _of_resolution(row.resolution, ratio.margin)
    if ratio.is_one_of_many:
        yield "its own interval excludes 1, but among so many comparisons one such is to be expected (Holm)"
    if ratio.paired and ratio.of_medians and abs(math.log(ratio.of_medians / ratio.value)) > _ODD:
        yield (
            f"{formatting.significant(ratio.value)}x is the median of the rounds' own ratios, in which what slowed a "
            f"whole round cancels; the two p50 are {formatting.significant(ratio.of_medians)}x apart"
        )


def _of_jobs(spread: Spread, value: float) -> str:
    """How the interval of a ratio between jobs was widened."""
    where = "from another job than its baseline" if spread.same_target else "on another target than its baseline"
    if spread.is_known:
        source = f" (selftest of {spread.selftest[:8]})" if spread.selftest else ""
        if spread.jobs == (1, 1):
            return (
                f"{where}: jobs of one file differ by up to {spread.least:.1%} there{source}, which the interval "
                "includes"
            )
        turns = "" if spread.by_turns else "; measured one side after the other, so drift between them is allowed for"
        return f"means of {spread.jobs[0]} and {spread.jobs[1]} jobs, which show {spread.least:.1%}{source}{turns}"
    remedy, apart = "Keep", ""
    if spread.same_target:
        remedy, apart = "Measure both in one job, or keep", f" and {formatting.change(value - 1)} apart"
    return (
        f"{where}{apart}, one job each: differences below {between_jobs.UNKNOWN:.0%} are not resolved. {remedy} three "
        "jobs or more of one file in its results (edgebench selftest --results)"
    )


def _of_resolution(found: Resolution, margin: float) -> str:
    said = f"not resolved: these measurements show differences from {found.least:.0%} on"
    if found.jobs is not None:
        return f"{said}; for {margin:.0%}, about {found.jobs} jobs a side, by turns"
    if found.longer is None or found.seconds is None:
        return said
    if found.longer > 100:
        return f"{said}; {margin:.0%} need a quieter machine, or {found.longer:.0f} times as long"
    return f"{said}; for {margin:.0%}, about {found.longer:.1f} times as long ({_duration(found.seconds)} of timing)"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def of_comparison(comparison: Comparison) -> Iterator[str]:
    """Notes below the table."""
    rows, margin = comparison.rows, f"{comparison.margin:.0%}"
    outcomes = {row.outcome for row in rows}
    if "equivalent" in outcomes:
        yield f"same: the 95% interval of the ratio lies within {margin} of 1."
    if any(row.ratio and row.ratio.per_image for row in rows):
        yield (
            "per image: a ratio of times per image, as the two take different numbers of images per inference; times "
            "and rates are per inference."
        )
    if any(row.outcome == "not resolved" and row.ratio and row.ratio.low is not None for row in rows):
        yield (
            f"not resolved: the 95% interval of the ratio contains 1 and reaches further than {margin} from it; "
            "measure for longer, and files on one target in one job."
        )
    if comparison.compared > 1:
        yield (
            f"{comparison.compared} ratios were compared: a difference counts if it holds among so many (Holm; at most "
            "one table of twenty has a false one)."
        )
    yield from of_history(comparison)


def of_history(comparison: Comparison) -> Iterator[str]:
    """What is known from other runs, or left out of them."""
    if comparison.is_against_earlier:
        yield from _of_a_whole_job(comparison.rows, comparison.margin)
    for record in comparison.passed_over:
        said = f"{record.artifact.name} on {record.target.name}: its newest run ({record.created}) has no values"
        why = ": ".join(filter(None, (record.outcome.status, record.outcome.reason)))
        yield f"{said} ({why}); the run before it is shown."
    if comparison.older:
        runs = "1 older run of these files is" if comparison.older == 1 else f"{comparison.older} older runs are"
        yield f"The newest run of each file is shown; {runs} not (--all, --since 2026-11-01 or --since 7d)."


def _of_a_whole_job(rows: Sequence[ComparisonRow], margin: float) -> Iterator[str]:
    """Files that moved together: then it was not one of the files."""
    logs = [math.log(row.ratio.value) for row in rows if row.ratio and not row.is_baseline]
    if len(logs) < 2:
        return
    middle = statistics.median(logs)
    if abs(middle) > math.log1p(margin) and all(abs(one - middle) <= math.log1p(margin) for one in logs):
        yield (
            f"All {len(logs)} files moved together, by {formatting.change(math.expm1(middle))}: the machine or its "
            "software changed, or was in another state, rather than one of the files."
        )
