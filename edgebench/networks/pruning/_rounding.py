"""How many channels of a group stay."""

from __future__ import annotations


def kept(channels: int, ratio: float, round_to: int, parts: int = 1, *, each: bool = False) -> int:
    """Channels * (1 - ratio), rounded up to a number that kernels like; at most as many as there are.

    parts: of how many equal parts they consist, each of which loses as many: groups of a convolution or a
    normalisation, heads of an attention. each: the channels of a part are rounded instead of all of them.
    """
    size = channels // parts
    rounded = size if each else channels
    multiple = round_to if rounded >= 2 * round_to else max(1, round_to // 2)
    for count in range(max(1, int(size * (1 - ratio))), size):
        if (count if each else count * parts) % multiple == 0:
            return count * parts
    return channels
