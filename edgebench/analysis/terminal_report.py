"""The comparison on a terminal, 80 columns wide: two tables for each target, then the reasons."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgebench.analysis import formatting, report_text
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.schema.estimate import Estimate

# Nobody reads more on a terminal, and laying it out would take longer than comparing.
_ROWS_MAX = 100
# Columns of a name that fit beside the numbers, and those that numbers take.
_NAME, _NUMBERS = 27, 53
_STYLES = {"valid": "green", "suspect": "yellow", "invalid": "red", "note": "dim"}


def show(comparison: Comparison, console: Console, *, verbose: bool) -> None:
    """verbose: every row, reason, explanation and meter by itself, not one line for each cause."""
    remarks = report_text.remarks if verbose else report_text.brief_remarks
    notes = report_text.notes if verbose else report_text.brief_notes
    shapes = report_text.shows_shapes(comparison.rows)
    for target in dict.fromkeys(row.record.target.name for row in comparison.rows):
        rows = [row for row in comparison.rows if row.record.target.name == target]
        console.print(f"\n[bold]{escape(target)}[/bold]  {escape(_device(rows))}")
        shown = rows if verbose else rows[:_ROWS_MAX]
        console.print(_latency_table(shown, shapes=shapes, longest=max(_NAME, console.width - _NUMBERS)))
        sources = list(dict.fromkeys(formatting.source(one) for row in shown for one in row.energy))
        console.print(_quality_table(shown, sources=len(sources) > 1))
        if len(sources) == 1:
            console.print(f"energy: {escape(sources[0])}", style="dim")
        if len(shown) < len(rows):
            console.print(f"... and {len(rows) - len(shown)} more rows: -v, or a report (--html, --csv)")
        for remark in remarks(shown):
            style = _STYLES[remark.level]
            console.print(f"[{style}]{remark.rows} {remark.level}[/]: {escape(remark.text)}")
    for note in notes(comparison):
        console.print(escape(note), style="dim")


def _device(rows: Sequence[ComparisonRow]) -> str:
    record = rows[0].record
    facts = record.facts_before
    browser = facts.browser and f"BROWSER ({record.in_browser_by}): {facts.browser}"
    parts = [facts.model, facts.cpu, browser, "EMULATED" if record.target.emulated else None]
    counts = sorted({row.record.runtime.threads or row.record.target.threads for row in rows})
    named = f"{', '.join(map(str, counts))} thread{'s' if counts[-1] > 1 else ''}"
    return ", ".join([part for part in parts if part] + [named])


def _latency_table(rows: Sequence[ComparisonRow], *, shapes: bool, longest: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("artifact", overflow="fold")
    for heading in ("p50", "p90", "p99", "time/baseline"):
        table.add_column(heading, justify="right")
    for number, row in enumerate(rows, start=1):
        quantiles = [_two_lines(estimate) for estimate in (row.p50_ns, row.p90_ns, row.p99_ns)]
        mark = f"[{_STYLES[row.verdict.level]}]({number})[/]"
        name = (
            escape(_folded(row.record.artifact.name, longest)) + _under(row.label) + _under(row.fed if shapes else "")
        )
        table.add_row(mark, name, *quantiles, "\n".join(formatting.ratio_parts(row)))
    return table


def _quality_table(rows: Sequence[ComparisonRow], *, sources: bool) -> Table:
    """sources: of energies, which differ."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("runtime")
    for heading in ("rate", "accuracy", "agreement", "memory", "size", "energy"):
        table.add_column(heading, justify="right")
    for number, row in enumerate(rows, start=1):
        runtime, size = row.record.runtime, row.record.artifact.size_bytes
        table.add_row(
            f"({number})",
            escape(f"{runtime.name} {runtime.facts.get('version', '')}") + _under(report_text.computed(row)),
            formatting.rate(row.throughput_hz),
            formatting.accuracy(row).replace(" ", "\n"),
            formatting.agreement(row),
            report_text.memory(row) + _under(report_text.memory_parts(row)),
            formatting.size(size),
            "\n".join(formatting.energy_lines(row, sources=sources)),
        )
    return table


def _folded(name: str, longest: int) -> str:
    """A long name in lines that end at a hyphen, where it has any."""
    if len(name) <= longest + 3:  # a column is often a little wider
        return name
    return "\n".join(re.findall(rf".{{1,{longest - 1}}}(?:-|$)|.{{1,{longest}}}", name))


def _under(text: str) -> str:
    return f"\n[dim]{escape(text)}[/dim]" if text else ""


def _two_lines(estimate: Estimate | None) -> str:
    """The interval under its value, so that three quantiles fit into 80 columns."""
    value, ends = formatting.estimate_parts(estimate)
    return value + _under(ends.strip("()"))
