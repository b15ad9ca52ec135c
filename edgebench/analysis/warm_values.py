"""The values of rounds as arrays, without the cold starts; cached, because they are needed often.

The same numbers as those the device decides by (device_agents/python/series.py, which has no numpy).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np

from edgebench.schema.record import Round

# All questions about a record come in a row, with some about its baseline in between.
_KEPT = 4
_UPPER_QUARTILE = 0.75
# So many values show the shape of a distribution.
_OUTLINE = 20_000
_MEDIAN = "median_ns"


class WarmValues:
    """Latencies of one inference in float ns.

    With a pace (`missed` is counted) every inference starts cold, so all of them count.
    """

    def __init__(self, rounds: Sequence[Round]) -> None:
        self._rounds = rounds
        self._blocks = [round_.block for round_ in rounds]
        self._raw = [_without_cold_start(round_) for round_ in rounds]

    @cached_property
    def values_ns(self) -> list[np.ndarray]:
        """Float [values] for each round, in the order of time."""
        return [raw / block for raw, block in zip(self._raw, self._blocks, strict=True)]

    @cached_property
    def _ranked(self) -> list[np.ndarray]:
        return [np.sort(raw) for raw in self._raw]

    @cached_property
    def pooled_ns(self) -> np.ndarray:
        """All of them, ascending. Float [values]."""
        return self._merged(1)

    @cached_property
    def outline_ns(self) -> np.ndarray:
        """The same, thinned to about `_OUTLINE` values: every n-th of each round in ascending order. Float [values]."""
        return self._merged(max(1, sum(self.counts) // _OUTLINE))

    def _merged(self, step: int) -> np.ndarray:
        thinned = [
            ranked[min(step // 2, len(ranked) - 1) :: step] / block
            for ranked, block in zip(self._ranked, self._blocks, strict=True)
        ]
        merged = np.concatenate(thinned or [np.empty(0)])
        merged.sort(kind="stable")  # fast for what is already in order
        return merged

    def sample_ns(self, most: int) -> list[tuple[int, float]]:
        """About so many single values as (number of the round, ns): evenly spaced ranks of every round, or of every
        n-th round if there are more rounds than that, and the least and the greatest of all.
        """
        if not self._rounds:
            return []
        step = -(-len(self._rounds) // most)
        all_of_them = list(zip(self._rounds, self._ranked, strict=True))
        chosen = all_of_them[::step]
        each = max(1, most // len(chosen))
        found = [
            (round_.number, float(value) / round_.block)
            for round_, ranked in chosen
            for value in ranked[_even_ranks(len(ranked), each)]
        ]
        ends = [
            [
                (float(ranked[place]) / one.block, one.number)
                for one, ranked in zip(self._rounds, self._ranked, strict=True)
            ]
            for place in (0, -1)
        ]
        extremes = min(ends[0]), max(ends[1])
        return [*found, *((number, ns) for ns, number in extremes)]

    @cached_property
    def medians_ns(self) -> list[float]:
        """Cached in the rounds, because they are needed again long after the values."""
        medians = [_median(ranked) / block for ranked, block in zip(self._ranked, self._blocks, strict=True)]
        keep_medians(self._rounds, medians)
        return medians

    def quantiles_ns(self, q: float) -> list[float]:
        """Of every round."""
        if q == 0.5:
            return self.medians_ns
        return [_quantile(ranked, q) / block for ranked, block in zip(self._ranked, self._blocks, strict=True)]

    @cached_property
    def counts(self) -> list[int]:
        return [len(raw) for raw in self._raw]

    @cached_property
    def sum_ns(self) -> float:
        return float(sum(raw.sum() / block for raw, block in zip(self._raw, self._blocks, strict=True)))


def of(rounds: Sequence[Round]) -> WarmValues:
    """Cached for the last few records, whose rounds never change."""
    return _of_same(_Same(rounds)) if isinstance(rounds, tuple) else WarmValues(rounds)


def keep_medians(rounds: Sequence[Round], medians: Sequence[float]) -> None:
    """With the rounds, which are then answered by `medians_ns` without their values."""
    for round_, median in zip(rounds, medians, strict=True):
        round_.__dict__[_MEDIAN] = median


def medians_ns(rounds: Sequence[Round]) -> list[float]:
    known: list[float] = [round_.__dict__[_MEDIAN] for round_ in rounds if _MEDIAN in round_.__dict__]
    return known if len(known) == len(rounds) else of(rounds).medians_ns


class _Same:
    """Equal only to itself: comparing rounds value by value would take as long as reading them."""

    def __init__(self, rounds: tuple[Round, ...]) -> None:
        self.rounds = rounds

    def __hash__(self) -> int:
        return id(self.rounds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.rounds is other.rounds


@lru_cache(maxsize=_KEPT)
def _of_same(same: _Same) -> WarmValues:
    return WarmValues(same.rounds)


def cold_prefix(values: np.ndarray) -> int:
    """`series.cold_prefix` of an array."""
    if len(values) < 10:
        return 0
    rank = int(_UPPER_QUARTILE * len(values))
    limit = np.partition(values, rank)[rank]
    return int(np.argmax(values <= limit))


def _even_ranks(count: int, most: int) -> np.ndarray:
    """At most so many of `count` ranks, evenly spaced. Int [ranks]."""
    few = min(count, most)
    return ((np.arange(few) + 0.5) * count / few).astype(int)


def _without_cold_start(round_: Round) -> np.ndarray:
    values = np.asarray(round_.values_ns, dtype=float)
    return values[cold_prefix(values) :] if round_.missed is None else values


def _median(ranked: np.ndarray) -> float:
    """As `series.median` computes it, to the last bit."""
    middle = len(ranked) // 2
    return float(ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2)


def _quantile(ranked: np.ndarray, q: float) -> float:
    """Linear between two values, like `numpy.quantile`, whose overhead is larger than this."""
    place = q * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return float(ranked[below] + (place - below) * (ranked[above] - ranked[below]))
