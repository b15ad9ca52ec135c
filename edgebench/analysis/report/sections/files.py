"""The files that were measured: what they are, and their hashes."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report.sections import PageSection, PageTable
from edgebench.schema.record import Record

PLACE = 900
_TEXT = "MACs and parameters of one image as the exporter counted them; 1 MAC is 2 FLOPs."
_HEADINGS = ("file", "format", "precision", "sha256", "size", "MACs", "parameters")


def sections(comparison: Comparison) -> Iterator[PageSection]:
    files = {row.record.artifact.sha256: row.record for row in reversed(comparison.rows)}
    rows = tuple(_cells(record) for record in reversed(files.values()))
    if rows:
        yield PageSection("Files", _TEXT, tables=(PageTable("Files", _HEADINGS, rows, words=4, wraps=True),))


def _cells(record: Record) -> tuple[str, ...]:
    artifact = record.artifact
    counts = (formatting.NOTHING if one is None else f"{one:,}" for one in (artifact.macs, artifact.parameters))
    size = f"{artifact.size_bytes:,} B"
    return (artifact.content.file, artifact.format, artifact.precision, artifact.sha256, size, *counts)
