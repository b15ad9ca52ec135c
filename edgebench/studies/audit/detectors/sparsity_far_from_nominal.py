"""A pruning percentage that hardly reaches the network.

The PLOS study's layer-wise 50 % are 128 of 12,960 weights, 0.99 %; the approximate-compression study's last layer
"matches the target" of 50 % with 1.21 %. Right: the effective sparsity, over all weights, beside the nominal one.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

# Below this share of the requested sparsity.
LEAST = 0.1
_REMEDY = "Print the effective sparsity over all weights beside the nominal one"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for run in evidence.variants:
        for step in run.pruning[-1:]:
            if step.form == "baked" and step.weights and step.nonzero is not None:
                zeros = step.weights - step.nonzero
                if zeros / step.weights < LEAST * step.ratio:
                    seen = f"requested {step.ratio:.0%}; {zeros:,} of {step.weights:,} weights are zero"
                    yield Finding("wrong", run.label, f"{seen}, {zeros / step.weights:.2%}", _REMEDY)
    for table, row in evidence.rows():
        if row.pruned and row.pruned.scheme == "unstructured" and "sparsity" in row.values:
            effective = row.values["sparsity"].plain
            if effective < LEAST * row.pruned.ratio:
                seen = f"called {row.pruned.ratio:.0%}, but {effective:.2%} of the weights are zero"
                yield Finding("wrong", table.where(row), seen, _REMEDY)
