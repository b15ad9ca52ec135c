"""Huffman's code over bytes, canonical: a decoder needs only the lengths of the codes.

    8 bytes              uint64, how many symbols
    256 bytes            length of each symbol's code in bits, 0: does not occur
    2 bytes each         uint16, how many bits each block of 1024 symbols has
    the rest             the codes, highest bit first

Blocks are decoded in parallel, one symbol of each at a time; one after the other would take minutes in Python.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgebench.networks.packing._bits import UInt8Array

    UInt64Array = NDArray[np.uint64]

BLOCK = 1024
LONGEST = 16  # bits of a code: the size of the decoding table
_HEAD = 8 + 256


def encode(symbols: UInt8Array) -> bytes:
    import numpy as np

    lengths = code_lengths(np.bincount(symbols, minlength=256).tolist())
    sizes = lengths[symbols].astype(np.int64)
    blocks = np.add.reduceat(sizes, np.arange(0, len(sizes), BLOCK)) if len(sizes) else sizes
    stream = _join(codes(lengths)[symbols], sizes)
    return b"".join((len(symbols).to_bytes(8, "little"), lengths.tobytes(), blocks.astype("<u2").tobytes(), stream))


def decode(packed: bytes) -> UInt8Array:
    import numpy as np

    count = int.from_bytes(packed[:8], "little")
    if not count:
        return np.zeros(0, np.uint8)
    lengths = np.frombuffer(packed, np.uint8, 256, offset=8)
    sizes = np.frombuffer(packed, "<u2", -(-count // BLOCK), offset=_HEAD).astype(np.int64)
    windows = _windows(packed[_HEAD + 2 * len(sizes) :])
    symbol_of, bits_of = _table(lengths)
    position = np.cumsum(sizes) - sizes
    symbols = np.empty((BLOCK, len(sizes)), np.uint8)
    for row in symbols:
        window = (windows[position >> 3] >> (8 - (position & 7))) & 0xFFFF
        row[:] = symbol_of[window]
        position += bits_of[window]
    return symbols.T.reshape(-1)[:count]


def code_lengths(counts: list[int]) -> UInt8Array:
    """uint8 [256]: bits of each symbol's code; Huffman's, or nearly so where those would be longer than `LONGEST`."""
    import numpy as np

    while True:
        lengths = _huffman(counts)
        if max(lengths, default=0) <= LONGEST:
            return np.array(lengths, np.uint8)
        counts = [(count + 1) // 2 for count in counts]  # flatter, and 1 stays 1


def _huffman(counts: list[int]) -> list[int]:
    """Join the two rarest groups of symbols until one group is left; each joining adds a bit to every symbol in it."""
    lengths = [0] * len(counts)
    groups = [(count, symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    if len(groups) == 1:
        lengths[groups[0][1]] = 1
    heapq.heapify(groups)
    while len(groups) > 1:
        first, second = heapq.heappop(groups), heapq.heappop(groups)
        together = first[2] + second[2]
        for symbol in together:
            lengths[symbol] += 1
        heapq.heappush(groups, (first[0] + second[0], first[1], together))
    return lengths


def codes(lengths: UInt8Array) -> UInt64Array:
    """uint64 [256]: consecutive numbers among codes of one length, shorter codes first, then by symbol."""
    import numpy as np

    found = np.zeros(len(lengths), np.uint64)
    code = previous = 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        length = int(lengths[symbol])
        if length:
            code = (code << (length - previous)) if previous else 0
            found[symbol], previous = code, length
            code += 1
    return found


def _join(chosen: UInt64Array, sizes: NDArray[np.int64]) -> bytes:
    """Concatenated codes. Each touches at most two words of 32 bits; no two share a bit, so sums join them."""
    import numpy as np

    starts = np.cumsum(sizes) - sizes
    word, offset = starts >> 5, starts & 31
    placed = chosen << (64 - offset - sizes).astype(np.uint64)
    total = int(sizes.sum())
    words = np.bincount(word, (placed >> np.uint64(32)).astype(np.float64), minlength=total // 32 + 2)
    words[1:] += np.bincount(word, (placed & np.uint64(0xFFFFFFFF)).astype(np.float64), minlength=len(words))[:-1]
    return words.astype(">u4").tobytes()[: -(-total // 8)]


def _windows(stream: bytes) -> NDArray[np.int64]:
    """The 24 bits that begin at each byte; zeros follow the end, as far as the last block can run on."""
    import numpy as np

    padded = np.frombuffer(stream + bytes(BLOCK * LONGEST // 8 + 3), np.uint8).astype(np.int64)
    return (padded[:-2] << 16) | (padded[1:-1] << 8) | padded[2:]


def _table(lengths: UInt8Array) -> tuple[UInt8Array, NDArray[np.int64]]:
    """For each number of `LONGEST` bits: the symbol whose code it begins with, and how long that is."""
    import numpy as np

    symbol_of, bits_of = np.zeros(1 << LONGEST, np.uint8), np.zeros(1 << LONGEST, np.int64)
    for symbol, code in enumerate(codes(lengths).tolist()):
        length = int(lengths[symbol])
        if length:
            first = code << (LONGEST - length)
            symbol_of[first : first + (1 << (LONGEST - length))] = symbol
            bits_of[first : first + (1 << (LONGEST - length))] = length
    return symbol_of, bits_of
