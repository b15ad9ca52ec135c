"""A network that cannot take the images that it was supposedly trained on.

The CIFAR-100 profile study's ResNet-18 has no global pooling (8192 features for a layer of 512), the PLOS study's
EMNIST code makes three channels for a convolution of one: the published numbers came from other code. Right: pass one
image through before training.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit import networks
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for network in evidence.architectures:
        try:
            networks.trace(network.module, network.input_shape)
        except RuntimeError as error:
            shape = "x".join(map(str, network.input_shape))
            seen = f"it cannot take one {shape} image ({str(error).strip().rstrip('.').splitlines()[0]})"
            yield Finding("wrong", network.where, seen, "Name the code that produced the numbers")
