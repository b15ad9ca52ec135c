"""Lines without a checksum: what a sketch prints looks alike from line to line, and a garbled line does not."""

from __future__ import annotations

from collections import Counter, deque

# So many lines before one is judged; of them so many have to look alike.
LEARNT = 20
KEPT = 50
ALIKE = 0.8


def number(word: str) -> float:
    """Raises ValueError for what no sketch prints, 6_0 among them, which Python takes for 60."""
    if "_" in word:
        raise ValueError("no number")
    return float(word)


class Layout:
    """How many decimals each column has: Arduino's print(float) gives two, whatever the value.

    640.20 that lost its end is 640 or 64, a number like any other.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, ...]] = deque(maxlen=KEPT)

    def check(self, words: list[str]) -> None:
        """Raises ValueError for a line unlike the others; does not where they differ among themselves."""
        decimals = tuple(len(word.strip().partition(".")[2]) for word in words)
        usual, count = Counter(self._seen).most_common(1)[0] if self._seen else (decimals, 0)
        is_odd = len(self._seen) >= LEARNT and count >= ALIKE * len(self._seen) and decimals != usual
        self._seen.append(decimals)
        if is_odd:
            raise ValueError("printed unlike the lines before it")
