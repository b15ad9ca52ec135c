"""Finds garbled lines without a checksum: a sketch prints all lines in the same layout."""

from __future__ import annotations

from collections import Counter, deque

# Lines before the first is judged, and the share of them that must be alike.
LEARNT = 20
KEPT = 50
ALIKE = 0.8


def number(word: str) -> float:
    """Raises ValueError also for text like 6_0, which Python reads as 60 but no sketch prints."""
    if "_" in word:
        raise ValueError("not a number")
    return float(word)


class Layout:
    """The number of decimals of each column: Arduino's print(float) always gives two.

    640.20 cut short becomes 640 or 64, which are plausible numbers.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, ...]] = deque(maxlen=KEPT)

    def check(self, words: list[str]) -> None:
        """Raises ValueError for a line unlike the others, unless they differ among themselves."""
        decimals = tuple(len(word.strip().partition(".")[2]) for word in words)
        usual, count = Counter(self._seen).most_common(1)[0] if self._seen else (decimals, 0)
        is_odd = len(self._seen) >= LEARNT and count >= ALIKE * len(self._seen) and decimals != usual
        self._seen.append(decimals)
        if is_odd:
            raise ValueError("its layout differs from the lines before")
