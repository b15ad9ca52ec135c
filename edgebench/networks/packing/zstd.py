"""Zstandard at the default level of the program `zstd` (RFC 8878). It knows nothing about weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.networks.packing import _bits

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

PACKAGE = "zstandard"
LEVEL = 3


def pack(array: Float32Array) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=LEVEL).compress(_bits.bits(array).tobytes())


def unpack(packed: bytes, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np
    import zstandard

    return _bits.floats(np.frombuffer(zstandard.ZstdDecompressor().decompress(packed), "<u4"), shape)
