"""A network ends in a softmax, although the cross-entropy that it is trained with includes one.

The PLOS study's medium MLP: gradients vanish as answers become nearly right. Right: the network gives logits.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit import networks
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for network in evidence.architectures:
        try:
            last = networks.trace(network.module, network.input_shape).last
        except RuntimeError:
            continue  # cannot-run reports it
        if last.startswith("Softmax"):
            seen = "its last operation is a softmax, and cross-entropy applies another one"
            yield Finding("wrong", network.where, seen, "Let it return the logits")
