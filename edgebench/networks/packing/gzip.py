"""Deflate at the default level of the program `gzip`. It knows nothing about weights."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from edgebench.networks.packing import _bits

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array


LEVEL = 6


def pack(array: Float32Array) -> bytes:
    import gzip

    return gzip.compress(_bits.bits(array).tobytes(), compresslevel=LEVEL, mtime=0)


def unpack(packed: bytes, shape: tuple[int, ...]) -> Float32Array:
    import zlib

    import numpy as np

    # Not gzip.decompress: a small file can claim any size.
    raw = zlib.decompressobj(wbits=31).decompress(packed, max(1, 4 * prod(shape)))
    return _bits.floats(np.frombuffer(raw, "<u4"), shape)
