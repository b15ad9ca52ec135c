"""Zeros in weights that never get a gradient, where there was nothing to prune.

Stock ResNet18 ends in 1x1 maps at 32x32, so 6,946,816 of its 11,172,032 weights only ever meet padding, and 90 % of the
approximate-compression study's zeros are in those layers. Right: remove such weights first, which costs nothing, and
count the sparsity of the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.errors import UserError
from edgebench.networks import sparsity
from edgebench.networks.from_checkpoint import rebuild
from edgebench.studies.audit.evidence import AuditedNetwork, AuditEvidence
from edgebench.studies.audit.finding import Finding

# Share of all weights from which on it counts as pruned; share of the zeros that cost nothing.
LEAST_ZEROS = 0.005
LEAST_DEAD = 0.1


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for network in _pruned(evidence):
        try:
            total = sparsity.table(network.module, network.input_shape).total
        except (RuntimeError, UserError):
            continue  # cannot-run and unused-parameters report it
        zeros = total.weights - total.nonzero
        dead_zeros = total.dead - (total.nonzero - total.live_nonzero)
        if zeros > LEAST_ZEROS * total.weights and dead_zeros > LEAST_DEAD * zeros:
            shape = "x".join(map(str, network.input_shape))
            seen = (
                f"{dead_zeros / zeros:.0%} of its {zeros:,} zeros are weights that never get a gradient ("
                f"{total.dead:,} of {total.weights:,} do not at {shape}); of the others "
                f"{total.live_sparsity:.1%} are zero"
            )
            yield Finding("doubtful", network.where, seen, "Remove weights without effect first, and prune the others")


def _pruned(evidence: AuditEvidence) -> Iterator[AuditedNetwork]:
    """Networks with weights: checkpoints that hold zeros, and given networks that are not on the meta device."""
    for checkpoint in evidence.checkpoints:
        if any(step.form == "baked" for step in checkpoint.about.pruning):
            yield AuditedNetwork(evidence.name(checkpoint), rebuild(checkpoint), checkpoint.about.input_shape)
    for network in evidence.networks:
        if not any(parameter.is_meta for parameter in network.module.parameters()):
            yield network
