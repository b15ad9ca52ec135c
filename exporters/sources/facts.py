"""What a network is that somebody else made, as far as export needs to know."""

from __future__ import annotations

import msgspec


class Facts(msgspec.Struct, frozen=True):
    """input_shape: (channels, height, width), or (features,). macs: as `models.Size` counts them, None: unknown.

    zeros: parameters that are zero. sha256: over all that makes the network what it is, "" if nobody can know that.
    weights: how they were found in the user's file, in words.
    """

    input_shape: tuple[int, ...]
    parameters: int
    macs: int | None
    zeros: int = 0
    sha256: str = ""
    weights: str = ""
