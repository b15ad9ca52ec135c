"""How many layers of a ranking must stay float: a search that tries as few numbers as it can."""

from __future__ import annotations

from collections.abc import Callable


def fewest(count: int, holds: Callable[[int], bool]) -> int:
    """The smallest number from 1 to `count` for which `holds` is true, if it is true from there up to `count`.

    Tries 1, 2, 4, ... and then halves the interval: most networks have few bad layers.
    """
    low, high = 1, 1
    while high < count and not holds(high):
        low, high = high + 1, min(2 * high, count)
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high
