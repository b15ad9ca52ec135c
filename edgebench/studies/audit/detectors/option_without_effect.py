"""Two variants that differ in an option but have bit-identical weights.

The PLOS study's layer-wise flag is never passed on for OctMNIST: "layer-wise" and "global" are one program there, and
the +2.01 Wh between them is noise. Right: refuse an option without effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.family import same_network
from edgebench.studies.audit.finding import Finding


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for first, second in combinations(evidence.variants, 2):
        if first.weights_sha256 and first.weights_sha256 == second.weights_sha256 and same_network(first, second):
            differing = _differing(first, second)
            if differing:
                seen = f"it differs from '{first.label}' in {', '.join(differing)}, but its weights are bit-identical"
                yield Finding("wrong", second.label, seen, "Pass the option on, or report one variant")


def _differing(first: AuditedRun, second: AuditedRun) -> list[str]:
    """`method (layer-wise, global)` for each option that differs."""
    own, other = _options(first), _options(second)
    return [
        f"{key} ({own.get(key, 'none')}, {other.get(key, 'none')})"
        for key in sorted(own.keys() | other.keys())
        if own.get(key) != other.get(key)
    ]


def _options(run: AuditedRun) -> dict[str, Any]:
    """Options of its last pruning and training, without the ratio: 0.30 and 0.301 may have the same effect."""
    chosen: dict[str, Any] = {}
    if run.pruning:
        chosen |= {"method": run.pruning[-1].method, **run.pruning[-1].options}
    if run.last_training:
        chosen |= {"seed": run.last_training.seed, "recipe": run.last_training.recipe.get("name", "")}
    return chosen
