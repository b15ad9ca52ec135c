"""Pruning "across the whole network" that takes the same share of every layer.

The PLOS study's "global" is per layer in its code. One ranking over all weights takes more where weights are small.
Right: call it uniform, or rank all weights together; three modes, three names.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

# In weights: the rounding error of a layer's share.
_ROUNDING = 1.0
_TOLERANCE = 0.002
_REMEDY = "Call it uniform, or rank the weights of all layers together"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for run in evidence.variants:
        layers = [layer for layer in run.layers.values() if layer.nonzero < layer.weights]
        called = [step.method for step in run.pruning if "global" in step.method]
        if called and len(layers) > 1:
            ratio = run.pruning[-1].ratio
            if all(abs(layer.sparsity - ratio) * layer.weights <= _ROUNDING for layer in layers):
                yield Finding("wrong", run.label, _words(called[0], ratio, len(layers)), _REMEDY)
    for table, row in evidence.rows():
        shares = list(row.layer_sparsity.values())
        if row.pruned and "global" in row.pruned.method and len(shares) > 1 and max(shares) - min(shares) < _TOLERANCE:
            yield Finding("wrong", table.where(row), _words(row.pruned.method, shares[0], len(shares)), _REMEDY)


def _words(method: str, share: float, layers: int) -> str:
    return (
        f"'{method}' zeroed {share:.1%} of each of {layers} layers: that is uniform, not a ranking of the whole network"
    )
