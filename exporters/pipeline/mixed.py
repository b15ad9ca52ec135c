"""How many layers of a ranking must stay float: a search that asks as rarely as it can."""

from __future__ import annotations

from collections.abc import Callable


def fewest(count: int, holds: Callable[[int], bool]) -> int:
    """The smallest number in 1 to `count` for which `holds` is true, if it is true for `count` and all between.

    Asks for 1, 2, 4, ... and then halves what is left: most networks have few bad layers.
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
