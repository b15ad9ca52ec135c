"""From a tensor's values over the calibration images to the range that eight bits cover.

There are several methods; which is best depends on the network, so all of them become candidates. A method maps a
`Histogram` to (lowest, highest); a range that leaves out some values gives the others finer steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgebench.schema.arrays import Float32Array

    Float64Array = NDArray[np.float64]

BINS = 1 << 15
SAMPLED_PER_IMAGE = 1 << 16
STEPS = 255  # between the lowest and the highest of 256 numbers
TAIL = 1e-4
MOST = 0.95
ENTROPY_BINS_PER_LEVEL = 4
# TFLite pads some pooling with -inf, which is not an activation.
LARGEST = 3e38
# Between the scores of one attention; masks are -inf, the lowest float, or -1e4 and below.
LARGEST_SCORES = 1e3


class Histogram:
    """The values of one tensor, in memory that does not grow with the number of images: bins from -limit to limit.

    A value beyond the limit doubles it: neighbouring bins are merged in pairs. If a tensor has more than 65,536
    numbers, only every n-th is counted. The extremes of each image, `lows` and `highs`, are exact.
    """

    def __init__(self) -> None:
        import numpy as np

        self.lows: list[float] = []
        self.highs: list[float] = []
        self.is_infinite = False
        self.limit = 2.0**-20
        self.counts = np.zeros(BINS, np.int64)

    @property
    def low(self) -> float:
        return min(self.lows)

    @property
    def high(self) -> float:
        return max(self.highs)

    @property
    def has_mask(self) -> bool:
        """Whether a softmax over it leaves some numbers no weight at all: they were masked."""
        return self.is_infinite or (bool(self.lows) and self.high - self.low > LARGEST_SCORES)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return 2 * self.limit / BINS

    def add(self, values: Float32Array) -> None:
        """values: of one image; infinite ones (from padding) are skipped, and so are empty tensors."""
        import numpy as np

        flat = values.reshape(-1)
        if not len(flat):
            return
        low, high = float(flat.min()), float(flat.max())
        if max(-low, high) > LARGEST:
            self.is_infinite = True
            flat = flat[np.abs(flat) < LARGEST]
            if not len(flat):
                return
            low, high = float(flat.min()), float(flat.max())
        self.lows.append(low)
        self.highs.append(high)
        while max(-low, high) > self.limit:
            self._double()
        # An odd distance, so that it does not coincide with a pattern of rows or channels.
        sampled = flat[:: len(flat) // SAMPLED_PER_IMAGE | 1]
        places = ((sampled + np.float32(self.limit)) / np.float32(self.width)).astype(np.int64)
        self.counts += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)

    def _double(self) -> None:
        pairs = self.counts.reshape(-1, 2).sum(1)
        self.counts[:] = 0
        self.counts[BINS // 4 : BINS // 4 * 3] = pairs
        self.limit *= 2

    def bins(self) -> tuple[Float64Array, Float64Array]:
        """(centres, counts) of the non-empty bins, in order."""
        import numpy as np

        held = np.flatnonzero(self.counts)
        centres: Float64Array = (held.astype(np.float64) + 0.5) * self.width - self.limit
        return centres, self.counts[held].astype(np.float64)

    def nonzero_bins(self) -> tuple[Float64Array, Float64Array]:
        """Without those next to zero: zeros are exact in any range, and after a ReLU they outnumber everything else."""
        import numpy as np

        centres, counts = self.bins()
        kept = np.abs(centres) > self.width
        return centres[kept], counts[kept]

    def ends(self) -> tuple[float, float]:
        """The extremes, widened to include zero, as every quantised range must."""
        return min(self.low, 0.0), max(self.high, 0.0)


def minmax(seen: Histogram) -> tuple[float, float]:
    """Everything that occurred."""
    return seen.low, seen.high


def average(seen: Histogram) -> tuple[float, float]:
    """The extremes of each image, averaged over the images."""
    return sum(seen.lows) / len(seen.lows), sum(seen.highs) / len(seen.highs)


def most_images(seen: Histogram) -> tuple[float, float]:
    """All values of 95 % of the images: in some networks a few images have activations ten times as large."""
    import numpy as np

    return float(np.quantile(seen.lows, 1 - MOST)), float(np.quantile(seen.highs, MOST))


def percentile(seen: Histogram) -> tuple[float, float]:
    """Without the outermost 0.01 % on either side."""
    import numpy as np

    centres, counts = seen.bins()
    below = np.cumsum(counts) / counts.sum()
    low, high = centres[np.searchsorted(below, (TAIL, 1 - TAIL)).clip(max=len(centres) - 1)]
    return float(np.clip(low, seen.low, seen.high)), float(np.clip(high, seen.low, seen.high))


def mse(seen: Histogram) -> tuple[float, float]:
    """The least mean squared error: rounding inside (a twelfth of a squared step) against clipping outside."""
    import numpy as np

    low, high = seen.ends()
    centres, counts = seen.nonzero_bins()
    lows, highs = low * _shares(), high * _shares()
    clipped_below, error_below = _clipping(-centres[::-1], counts[::-1], -lows)
    clipped_above, error_above = _clipping(centres, counts, highs)
    inside = counts.sum() - clipped_below[:, None] - clipped_above[None, :]
    steps = (highs[None, :] - lows[:, None]) / STEPS
    errors = error_below[:, None] + error_above[None, :] + inside * steps**2 / 12
    row, column = np.unravel_index(errors.argmin(), errors.shape)
    return float(lows[row]), float(highs[column])


def entropy(seen: Histogram) -> tuple[float, float]:
    """The least Kullback-Leibler divergence of the quantised distribution (Migacz 2017, TensorRT), both ends scaled
    alike.

    A range with hardly more bins than levels would lose nothing by definition and is not considered.
    """
    import numpy as np

    low, high = seen.ends()
    centres, counts = seen.nonzero_bins()
    best, least = (low, high), math.inf
    for share in _shares():
        ends = low * share, high * share
        inside = (centres > ends[0] - seen.width) & (centres < ends[1] + seen.width)
        if ends[1] - ends[0] < ENTROPY_BINS_PER_LEVEL * STEPS * seen.width or not inside.any():
            break
        kept = counts[inside]
        clipped = kept.copy()
        clipped[0] += counts[centres <= ends[0] - seen.width].sum()
        clipped[-1] += counts[centres >= ends[1] + seen.width].sum()
        level = ((centres[inside] - ends[0]).clip(0) * (STEPS / (ends[1] - ends[0]))).astype(np.int64)
        spread = (np.bincount(level, kept) / np.maximum(np.bincount(level), 1))[level]
        divergence = float((clipped / clipped.sum() * np.log(clipped * spread.sum() / spread / clipped.sum())).sum())
        if divergence < least:
            best, least = ends, divergence
    return best


def chosen(seen: Histogram, method: str) -> tuple[float, float]:
    """method: a name in METHODS. A tensor that never held a number has no range, and any will do."""
    return METHODS[method](seen) if seen.lows else (0.0, 0.0)


METHODS: dict[str, Callable[[Histogram], tuple[float, float]]] = {
    "minmax": minmax,
    "average": average,
    "most-images": most_images,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}


def _shares() -> Float64Array:
    """Shares of an extreme that may be kept: from all of it to a 32nd."""
    import numpy as np

    shares: Float64Array = 0.5 ** (np.arange(41) / 8)
    return shares


def _clipping(centres: Float64Array, counts: Float64Array, ends: Float64Array) -> tuple[Float64Array, Float64Array]:
    """For each end: how many values lie above it, and the sum of their squared distances to it. centres: ascending."""
    import numpy as np

    def above(values: Float64Array) -> Float64Array:
        sums: Float64Array = np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
        return sums[np.searchsorted(centres, ends, side="right")]

    number, first, second = above(counts), above(counts * centres), above(counts * centres**2)
    return number, second - 2 * ends * first + ends**2 * number
