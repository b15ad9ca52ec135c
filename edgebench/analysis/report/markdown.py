"""Write Markdown tables, for a README or the appendix of a paper."""

from __future__ import annotations

from edgebench.analysis import answer, explanation_report, formatting, layer_report, markdown_table, report_text
from edgebench.analysis.comparison import Comparison, ComparisonRow

_HEADINGS = (
    "", "artifact", "target", "computed in", "verdict", "p50", "p90", "p99", "rate", "time / baseline", "accuracy",
    "agreement", "memory", "size", "energy",
)  # fmt: skip


def render(comparison: Comparison) -> str:
    shapes = report_text.shows_shapes(comparison.rows)
    rows = [[f"({number})", *_cells(row, shapes=shapes)] for number, row in enumerate(comparison.rows, start=1)]
    lines = [f"{line}\n" for line in answer.of(comparison).lines]
    lines += markdown_table.table(_HEADINGS, rows, left=5)
    lines += [f"\n{remark.rows} {remark.level}: {remark.text}" for remark in report_text.remarks(comparison.rows)]
    lines += [f"\n{note}" for note in report_text.notes(comparison)]
    for found in layer_report.tables([row.record for row in comparison.rows]):
        lines += ["", f"### {found.title}", ""]
        lines += markdown_table.table(found.headings, [*found.rows, *found.sums], left=2)
        lines += ["", found.caption]
    for explained in explanation_report.of_records([row.record for row in comparison.rows]):
        lines += ["", f"### {explained.title}", ""]
        lines += markdown_table.table(explanation_report.HEADINGS, explained.rows, left=2)
        lines += [f"\n{note}" for note in explained.notes]
    return "\n".join(lines) + "\n"


def _cells(row: ComparisonRow, *, shapes: bool) -> list[str]:
    record = row.record
    return [
        row.name + (f", {row.fed}" if shapes and row.fed else ""),
        record.target.name + report_text.mark(record),
        str(row.computed),
        row.verdict.level,
        formatting.estimate(row.p50_ns),
        formatting.estimate(row.p90_ns),
        formatting.estimate(row.p99_ns),
        formatting.rate(row.throughput_hz),
        formatting.ratio(row),
        formatting.accuracy(row),
        formatting.agreement(row),
        report_text.memory(row) + (f" ({report_text.memory_parts(row)})" if report_text.memory_parts(row) else ""),
        formatting.size(record.artifact.size_bytes),
        formatting.energy(row),
    ]
