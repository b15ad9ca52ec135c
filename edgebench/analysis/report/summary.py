"""Write a short Markdown summary, for a pull request: the answer, the checks of --fail-if, the ratios."""

from __future__ import annotations

from edgebench.analysis import answer, formatting, markdown_table
from edgebench.analysis.comparison import Comparison

_MARKS = {"passed": "✅", "failed": "❌", "not resolved": "❔"}


def render(comparison: Comparison) -> str:
    lines = [f"### edgebench: {counted(comparison)}", ""] if comparison.checks else ["### edgebench", ""]
    lines += [f"{line}  " for line in answer.of(comparison).lines]
    if comparison.checks:
        rows = [
            [_MARKS[one.state], one.state, f"`{one.expression}`", one.artifact, one.target, one.said]
            for one in sorted(comparison.checks, key=lambda one: ["failed", "not resolved", "passed"].index(one.state))
        ]
        lines += ["", *markdown_table.table(("", "", "check", "file", "target", "measured"), rows, left=6)]
    rows = [
        [row.name, row.record.target.name, formatting.estimate(row.p50_ns), formatting.ratio(row), row.outcome or ""]
        for row in comparison.rows
    ]
    lines += ["", *markdown_table.table(("file", "target", "p50", "time / baseline", "outcome"), rows, left=2)]
    return "\n".join(lines) + "\n"


def counted(comparison: Comparison) -> str:
    """`1 check failed, 2 not resolved, 5 passed`"""
    states = [one.state for one in comparison.checks]
    return ", ".join(f"{states.count(state)} {state}" for state in ("failed", "not resolved", "passed"))
