"""Parameters are registered, counted and pruned but do not affect any answer.

The PLOS study's VGG-16 keeps torchvision's own classifier: 138,887,986 parameters of which 15,245,130 act. Right: drop
modules that are not used before anything is counted or pruned.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit import networks
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for network in evidence.architectures:
        try:
            unused = networks.unused(network.module, network.input_shape)
        except RuntimeError:
            continue  # cannot-run reports it
        if unused:
            total = sum(parameter.numel() for parameter in network.module.parameters())
            shown = ", ".join(list(unused)[:3]) + (", ..." if len(unused) > 3 else "")
            seen = f"{sum(unused.values()):,} of its {total:,} parameters do not affect any answer ({shown})"
            yield Finding("wrong", network.where, seen, "Remove unused modules, then count and prune")
