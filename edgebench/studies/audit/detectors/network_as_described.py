"""The described network is not the one that was measured.

The UltraLight study describes batch normalisation and global pooling, and its counts are those of a network without
them; the lightweight-CNN study states "~20k" and "<30k" parameters for 334,706 and 83,344. Right: print the table of
layers and the counts of the network itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.recompute import computed

_TOLERANCE = 0.02
_REMEDY = "Print layers and parameters of the network that was measured"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        network = computed(row) if row.layers or "parameters" in row.values else None
        if network is None:
            continue
        missing = [layer for layer in row.layers if not network.layers[layer]]
        if missing:
            has = ", ".join(f"{count} {layer}" for layer, count in network.layers.items())
            yield Finding("wrong", table.where(row), f"it has no {' and no '.join(missing)}, but {has}", _REMEDY)
        stated = row.values.get("parameters")
        if stated and not row.pruned and abs(stated.plain / network.size.parameters - 1) > _TOLERANCE:
            seen = f"{stated.plain:,.0f} parameters are stated; {_count(stated.plain, network.size.parameters)}"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
    for table, statement, rows in evidence.statements("parameters"):
        for row in rows:
            network, limit = computed(row), statement.limit
            if network and limit and statement.relation == "below" and network.size.parameters >= limit.plain:
                seen = f"'{statement.says}', but {_count(limit.plain, network.size.parameters)}"
                yield Finding("wrong", table.where(row), seen, _REMEDY)


def _count(stated: float, parameters: int) -> str:
    return f"the network has {parameters:,}, {parameters / stated:.2g}x"
