"""A network ends in a softmax, and the cross-entropy that it is trained by has another.

The PLOS study's medium MLP: gradients fade where the answers are nearly right. Right: the network gives logits.
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
            continue  # cannot-run says so
        if last.startswith("Softmax"):
            seen = "its last operation is a softmax, and cross-entropy applies another one to that"
            yield Finding("wrong", network.where, seen, "Let it end with the logits")
