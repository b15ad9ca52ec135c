"""A float32 array as bits: its non-zero values and their positions, and back."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgebench.schema.arrays import Float32Array

    UInt8Array = NDArray[np.uint8]
    UInt32Array = NDArray[np.uint32]
    Int64Array = NDArray[np.int64]

ESCAPE = 255  # as a gap: 255 zeros, not followed by a value


def bits(array: Float32Array) -> UInt32Array:
    """uint32 [count], little-endian."""
    import numpy as np

    return np.ascontiguousarray(array, "<f4").reshape(-1).view("<u4")


def floats(array: UInt32Array, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np

    return array.view("<f4").astype(np.float32, copy=False).reshape(shape)


def place(values: UInt32Array, positions: Int64Array, shape: tuple[int, ...]) -> Float32Array:
    """An array of zeros with these values at these positions."""
    import numpy as np

    dense = np.zeros(prod(shape), "<u4")
    dense[positions] = values
    return floats(dense, shape)


def gaps(positions: Int64Array) -> UInt8Array:
    """Ascending positions -> one byte each: the number of zeros before it; 255 means 255 zeros and no value yet."""
    import numpy as np

    distances = np.diff(positions, prepend=-1) - 1
    escapes = distances // ESCAPE
    stream = np.full(len(positions) + int(escapes.sum()), ESCAPE, np.uint8)
    stream[np.cumsum(escapes + 1) - 1] = distances % ESCAPE
    return stream


def positions(stream: UInt8Array) -> Int64Array:
    """The inverse of `gaps`."""
    import numpy as np

    is_value = stream != ESCAPE
    steps = stream.astype(np.int64) + is_value
    found: Int64Array = (np.cumsum(steps) - 1)[is_value]
    return found
