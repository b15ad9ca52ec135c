"""The words for a pruning contradict each other.

The UltraLight study's "unstructured pruning to remove entire channels": unstructured pruning zeroes single weights,
structured pruning removes channels. Right: the scheme, and shapes before and after.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

_REMOVES = {"unstructured": "weights", "structured": "channels"}


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        pruned = row.pruned
        if pruned and pruned.removes and pruned.removes != _REMOVES[pruned.scheme]:
            seen = f"its pruning is called {pruned.scheme} but is said to remove {pruned.removes}"
            remedy = "Name the scheme by what it removes, and give the shapes before and after"
            yield Finding("wrong", table.where(row), seen, remedy)
