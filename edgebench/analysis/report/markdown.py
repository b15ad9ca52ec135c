"""Write Markdown tables, for a README or the appendix of a paper."""

from __future__ import annotations

from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report import _format, _markdown, _text

_HEADINGS = (
    "", "artifact", "target", "verdict", "p50", "p90", "p99", "rate", "time / baseline", "accuracy",
    "agreement", "memory", "size", "energy",
)  # fmt: skip


def render(comparison: Comparison) -> str:
    shapes = _text.shows_shapes(comparison.rows)
    rows = [[f"({number})", *_cells(row, shapes=shapes)] for number, row in enumerate(comparison.rows, start=1)]
    lines = _markdown.table(_HEADINGS, rows, left=4)
    lines += [f"\n{remark.rows} {remark.level}: {remark.text}" for remark in _text.remarks(comparison.rows)]
    lines += [f"\n{note}" for note in _text.notes(comparison)]
    return "\n".join(lines) + "\n"


def _cells(row: ComparisonRow, *, shapes: bool) -> list[str]:
    record = row.record
    return [
        row.name + (f", {row.fed}" if shapes and row.fed else ""),
        record.target.name + _text.mark(record),
        row.verdict.level,
        _format.estimate(row.p50_ns),
        _format.estimate(row.p90_ns),
        _format.estimate(row.p99_ns),
        _format.rate(row.throughput_hz),
        _format.ratio(row),
        _format.accuracy(row),
        _format.agreement(row),
        _text.memory(row) + (f" ({_text.memory_parts(row)})" if _text.memory_parts(row) else ""),
        _format.size(record.artifact.size_bytes),
        _format.energy(row),
    ]
