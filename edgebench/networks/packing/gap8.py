"""One byte per value: the number of zeros before it (relative indices of Han et al. 2016, arXiv:1510.00149).

    8 bytes        uint64, the number of gaps
    1 byte each    gaps: 0 to 254 zeros, then a value; 255: 255 zeros and no value
    4 bytes each   float32 values

The paper stores a zero value where a gap is too long; here that value is left out. All integers are little-endian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.networks.packing import _bits

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array


def pack(array: Float32Array) -> bytes:
    import numpy as np

    values = _bits.bits(array)
    gaps = _bits.gaps(np.flatnonzero(values))
    return b"".join((len(gaps).to_bytes(8, "little"), gaps.tobytes(), values[values != 0].tobytes()))


def unpack(packed: bytes, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np

    count = int.from_bytes(packed[:8], "little")
    gaps = np.frombuffer(packed, np.uint8, count, offset=8)
    return _bits.place(np.frombuffer(packed, "<u4", offset=8 + count), _bits.positions(gaps), shape)
