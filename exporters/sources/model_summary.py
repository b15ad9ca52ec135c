"""What export needs to know about a network that did not come from edgebench."""

from __future__ import annotations

import msgspec


class ModelSummary(msgspec.Struct, frozen=True):
    """input_shape: (channels, height, width), or (features,). macs: as `models.Size` counts them, None if unknown.

    zeros: parameters that are zero. sha256: over everything that determines the network, "" if that cannot be known.
    weights: how they were found in the user's file, in words.
    """

    input_shape: tuple[int, ...]
    parameters: int
    macs: int | None
    zeros: int = 0
    sha256: str = ""
    weights: str = ""
