"""What export needs to know about a network that did not come from edgebench."""

from __future__ import annotations

import msgspec

from edgebench.schema.bundle import TensorSpec


class ModelSummary(msgspec.Struct, frozen=True):
    """inputs, outputs: with a batch of 1. macs: as `models.Size` counts them, None if unknown. zeros: parameters that
    are zero. sha256: over everything that determines the network, "" if that cannot be known. weights: how they were
    found in the user's file, in words. table_sizes: of the tables that whole numbers are looked up in, by input.
    precision: what most weights are stored in: fp32 (also for float64), fp16 or bf16.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int
    macs: int | None
    zeros: int = 0
    sha256: str = ""
    weights: str = ""
    table_sizes: dict[str, int] = {}
    precision: str = "fp32"
