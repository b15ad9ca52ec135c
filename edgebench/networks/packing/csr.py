"""Compressed sparse rows, as in sparse matrix libraries: four bytes for the column of every value.

A row is one output of the layer, its columns are all dimensions after the first. Larger than dense unless more than
half of the weights are zero.

    4 * (rows + 1) bytes    int32, where each row's values begin, and their total number
    4 bytes each            int32 columns
    4 bytes each            float32 values
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from edgebench.networks.packing import _bits

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array


def pack(array: Float32Array) -> bytes:
    import numpy as np

    rows, columns = _matrix(array.shape)
    values = _bits.bits(array)
    row, column = np.divmod(np.flatnonzero(values), max(columns, 1))
    starts = np.zeros(rows + 1, "<i4")
    np.cumsum(np.bincount(row, minlength=rows), out=starts[1:])
    return b"".join((starts.tobytes(), column.astype("<i4").tobytes(), values[values != 0].tobytes()))


def unpack(packed: bytes, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np

    rows, columns = _matrix(shape)
    starts = np.frombuffer(packed, "<i4", rows + 1)
    count = int(starts[-1])
    column = np.frombuffer(packed, "<i4", count, offset=starts.nbytes)
    values = np.frombuffer(packed, "<u4", count, offset=starts.nbytes + column.nbytes)
    row = np.repeat(np.arange(rows, dtype=np.int64), np.diff(starts))
    return _bits.place(values, row * columns + column, shape)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns)"""
    return (shape[0] if shape else 1), prod(shape[1:])
