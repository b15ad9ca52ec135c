"""A record of edgebench's, as a row to be held against."""

from __future__ import annotations

from edgebench.analysis import comparability, stats
from edgebench.analysis.published.row import PublishedFigure
from edgebench.errors import UserError
from edgebench.schema.record import Record


def of_record(record: Record) -> PublishedFigure:
    """Raises UserError for a record without times."""
    found = stats.latency_ns(record.rounds, 0.5)
    if found is None:
        raise UserError(str(record.path or record.id), "it has no times", "Name a record that was measured")
    precision = record.artifact.precision
    parity = record.artifact.parity
    return PublishedFigure(
        "a record",
        found.value,
        "median",
        model=record.artifact.model or record.artifact.name,
        device=record.facts_before.model or record.target.name,
        runtime=record.runtime.name,
        threads=record.target.threads,
        precision=None if precision == "unknown" else precision,
        batch=record.batch,
        input_size=comparability.fed(record) or None,
        accuracy=parity.accuracy if parity else None,
        size_bytes=record.artifact.size_bytes,
    )
