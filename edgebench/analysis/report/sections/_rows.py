"""Which rows a figure shows, their names, and their numbers in words.

Emulated and real times never share a chart; invalid records appear in none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow

# More rows than these are a wall, and the table has all.
MOST_ROWS = 40
_MOST_SAID = 6


def name_of(row: ComparisonRow) -> str:
    return f"{row.name} · {row.record.target.name}" + " (means)" * row.record.means_only


def by_clock(comparison: Comparison) -> Iterator[tuple[str, str, list[ComparisonRow]]]:
    """(what to add to a heading, to a file's name, rows that were timed), real targets and emulated ones apart."""
    for emulated, words, stem in ((False, "", ""), (True, " (emulated clock, not a device's times)", "-emulated")):
        rows = [row for row in comparison.rows if is_drawn(row) and row.record.target.emulated == emulated]
        if rows:
            yield words, stem, rows


def is_drawn(row: ComparisonRow) -> bool:
    return row.p50_ns is not None and row.verdict.level != "invalid"


def cut(rows: Sequence[Any], most: int = MOST_ROWS) -> tuple[Sequence[Any], str]:
    """The rows that are drawn, and a sentence if there are more."""
    if len(rows) <= most:
        return rows, ""
    return rows[:most], f" Drawn are the first {most} of {len(rows):,}; the table has all."


def listed(parts: Sequence[str]) -> str:
    """`a, b, and 3 more`"""
    more = len(parts) - _MOST_SAID
    return ", ".join(parts[:_MOST_SAID]) + (f", and {more:,} more" if more > 0 else "")


def sentence(what: str, rows: Sequence[Any], said: Callable[[Any], str]) -> str:
    return f"{what}: {listed([said(row) for row in rows])}."


def p50_said(row: ComparisonRow) -> str:
    return f"{name_of(row)} {formatting.estimate(row.p50_ns)}"


def short(value: float | None) -> float | None:
    """Five digits: a page of many records is mostly digits."""
    return None if value is None else float(f"{value:.5g}")


def ends(value: float, low: float | None, high: float | None, divisor: float) -> dict[str, float | None]:
    return {"low": short((value if low is None else low) / divisor), "high": short((high or value) / divisor)}
