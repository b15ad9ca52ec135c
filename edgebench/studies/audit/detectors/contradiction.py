"""The same thing is stated twice with different numbers.

Savings of 44 % here and 56 % there, an accuracy of 62 % and "under 50 %". Right: one number, from one place.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedStatement, PublishedTable

_TOLERANCE = 0.01


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        for first, second in _about_the_same(table):
            assert first.limit and second.limit
            if abs(first.limit.plain - second.limit.plain) > _TOLERANCE * abs(first.limit.plain):
                seen = f"'{first.says}' ({first.limit}) and '{second.says}' ({second.limit}) are about the same thing"
                yield Finding("wrong", table.title, seen, "Take both from the same computed value")


def _about_the_same(table: PublishedTable) -> list[tuple[PublishedStatement, PublishedStatement]]:
    """Sentences that give a number for one quantity of the same rows; bounds ("below") may differ."""
    figures = [one for one in table.statements if one.limit and one.relation in ("", "equal")]
    return [
        (first, second)
        for position, first in enumerate(figures)
        for second in figures[position + 1 :]
        if _subject(first) == _subject(second)
    ]


def _subject(one: PublishedStatement) -> tuple[str, tuple[str, ...], str, str]:
    return one.quantity, one.rows, one.phase, one.device
