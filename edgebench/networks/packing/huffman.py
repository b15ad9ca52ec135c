"""Gaps and values in Huffman's code, the last stage of Deep Compression (Han et al. 2016, arXiv:1510.00149). Lossless.

The gaps are those of gap8. Values are coded byte by byte, one code for each of their four bytes: signs and exponents
repeat, the rest hardly does. If an array has at most 256 distinct values, as after sharing weights (`edgebench pack
--bits`, which is lossy and not part of this format), they are listed once and each gets a code.

    8 bytes, then as many    coded gaps
    8 bytes, then as many    the values listed, float32; none: coded byte by byte
    8 bytes, then as many    coded places in the list, or the coded lowest bytes; three more such parts for the others
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgebench.networks.packing import _bits, _canonical

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

MOST_LISTED = 256


def pack(array: Float32Array) -> bytes:
    import numpy as np

    everything = _bits.bits(array)
    values = everything[everything != 0]
    parts = [_canonical.encode(_bits.gaps(np.flatnonzero(everything)))]
    listed, places = np.unique(values, return_inverse=True)
    if len(listed) <= MOST_LISTED:
        parts += [listed.tobytes(), _canonical.encode(places.astype(np.uint8))]
    else:
        parts += [b"", *(_canonical.encode(plane) for plane in values.view(np.uint8).reshape(-1, 4).T)]
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def unpack(packed: bytes, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np

    gaps, listed, *coded = _parts(packed)
    decoded = [_canonical.decode(part) for part in coded]
    if len(decoded) == 1:
        values = np.frombuffer(listed, "<u4")[decoded[0]]
    else:
        values = np.stack(decoded, axis=1).reshape(-1).view("<u4")
    return _bits.place(values, _bits.positions(_canonical.decode(gaps)), shape)


def _parts(packed: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(packed):
        size = int.from_bytes(packed[start : start + 8], "little")
        yield packed[start + 8 : start + 8 + size]
        start += 8 + size
