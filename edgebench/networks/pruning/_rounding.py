"""How many channels of a group stay."""

from __future__ import annotations


def kept(channels: int, ratio: float, round_to: int, parts: int = 1, *, each: bool = False) -> int:
    """The nearest number to channels * (1 - ratio) that kernels like; the higher of two that are as near.

    parts: of how many equal parts they consist, each of which loses as many: groups of a convolution or a
    normalisation, heads of an attention. each: the channels of a part are rounded instead of all of them.
    """
    size = channels // parts
    wanted = int(size * (1 - ratio))
    rounded = size if each else channels
    multiple = round_to if rounded >= 2 * round_to else max(1, round_to // 2)
    choices = [count for count in range(1, size) if (count if each else count * parts) % multiple == 0]
    return parts * min([*choices, size], key=lambda count: (abs(count - wanted), -count))
