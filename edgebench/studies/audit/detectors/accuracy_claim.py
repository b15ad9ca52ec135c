"""A sentence about accuracies that the accuracies do not support.

"Matches the pre-trained networks" at -13.2 and -14.6 points; "increases monotonically" where it falls, and where the
steps are smaller than the interval of a 10,000-image test. Right: the difference with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis import stats
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding, Level
from edgebench.studies.audit.published import PublishedRow, PublishedStatement
from edgebench.studies.audit.splits import images

# of - to, and its 95 % interval.
Difference = tuple[float, float, float]
# Largest difference of two accuracies that "match".
TOLERANCE = 0.02


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, statement, rows in evidence.statements("accuracy"):
        if not all("accuracy" in row.values and images(row) for row in rows):
            continue
        for of, to in _compared(statement, rows):
            difference = _difference(of, to)
            level = _judge(statement.relation, difference)
            if level:
                seen = f"'{statement.says}', but {_words(of, to, difference)}"
                yield Finding(
                    level, table.title, seen, "State the difference with its interval; without one there is no order"
                )


def _compared(statement: PublishedStatement, rows: tuple[PublishedRow, ...]) -> list[tuple[PublishedRow, PublishedRow]]:
    if statement.relation == "increasing":
        return list(zip(rows[1:], rows, strict=False))
    return [(rows[0], other) for other in rows[1:]]


def _difference(of: PublishedRow, to: PublishedRow) -> Difference:
    accuracies = of.values["accuracy"].plain, to.values["accuracy"].plain
    found = stats.proportion_difference(*accuracies, images(of) or 0, images(to) or 0)
    assert found.low is not None and found.high is not None
    return found.value, found.low, found.high


def _judge(relation: str, difference: Difference) -> Level | None:
    value, low, high = difference
    if relation == "equal":
        return "wrong" if (low > 0 or high < 0) and abs(value) > TOLERANCE else None
    if relation == "lower":
        low, high = -high, -low
    if relation in ("higher", "lower", "increasing"):
        return "wrong" if high < 0 or (relation == "increasing" and value < 0) else "doubtful" if low <= 0 else None
    return None


def _words(of: PublishedRow, to: PublishedRow, difference: Difference) -> str:
    value, low, high = (f"{100 * number:+.1f}" for number in difference)
    return (
        f"'{of.label}' has {of.values['accuracy'].plain:.2%} and '{to.label}' {to.values['accuracy'].plain:.2%}: "
        f"{value} points ({low} to {high})"
    )
