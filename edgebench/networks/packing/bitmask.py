"""One bit per weight that says whether it is zero, then the non-zero values.

ceil(count / 8) bytes    the bits, the first weight in the highest bit of the first byte
4 bytes each             float32 values, little-endian, in the weights' order
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from edgebench.networks.packing import _bits

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array


def pack(array: Float32Array) -> bytes:
    import numpy as np

    values = _bits.bits(array)
    return b"".join((np.packbits(values != 0).tobytes(), values[values != 0].tobytes()))


def unpack(packed: bytes, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np

    count = prod(shape)
    mask_bytes = -(-count // 8)
    mask = np.unpackbits(np.frombuffer(packed, np.uint8, mask_bytes), count=count)
    return _bits.place(np.frombuffer(packed, "<u4", offset=mask_bytes), np.flatnonzero(mask), shape)
