"""INT8: the range of a tensor, by the histogram of what it held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exporters.arithmetic import ranges
from exporters.arithmetic.ranges import METHODS, Histogram

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal((50, 20_000)).astype(np.float32)


def histogram(images: Any) -> Histogram:
    seen = Histogram()
    for image in images:
        seen.add(np.asarray(image, np.float32))
    return seen


def error(values: np.ndarray, ends: tuple[float, float]) -> float:
    """Mean squared error of 256 levels over a range that is widened to hold zero."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    step = (high - low) / 255
    zero = round(-low / step)
    return float(np.square((np.clip(np.round(values / step) + zero, 0, 255) - zero) * step - values).mean())


# ------------------------------------------------------------------ histograms


def test_a_histogram_counts_everything_and_knows_the_extremes() -> None:
    seen = histogram(NORMAL)
    assert (seen.low, seen.high) == (NORMAL.min(), NORMAL.max())
    centres, counts = seen.bins()
    assert counts.sum() == NORMAL.size
    assert (np.diff(centres) > 0).all()
    assert np.average(centres, weights=counts) == pytest.approx(NORMAL.mean(), abs=1e-3)
    assert np.average(centres**2, weights=counts) == pytest.approx(np.square(NORMAL).mean(), rel=1e-3)


def test_a_later_image_with_larger_numbers_changes_neither_counts_nor_memory() -> None:
    seen = histogram(NORMAL[:1])
    before = len(seen.counts)
    seen.add(NORMAL[1] * 1000)
    assert len(seen.counts) == before
    centres, counts = seen.bins()
    assert counts.sum() == 2 * NORMAL.shape[1]
    assert counts[np.abs(centres) < 6].sum() >= NORMAL.shape[1]


def test_of_large_tensors_a_part_is_counted_but_all_extremes() -> None:
    large = np.zeros(10 * ranges.SAMPLED_PER_IMAGE, np.float32)
    large[1] = -7
    large[-2] = 9
    seen = histogram([large])
    assert (seen.low, seen.high) == (-7, 9)
    assert seen.counts.sum() <= ranges.SAMPLED_PER_IMAGE


def test_padding_with_minus_infinity_is_no_activation() -> None:
    seen = histogram([[-np.inf, -1, 2]])
    assert (seen.low, seen.high, seen.counts.sum()) == (-1, 2, 2)


# ------------------------------------------------------------------ ranges


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "values",
    [NORMAL, np.maximum(NORMAL, 0), NORMAL - 9, np.zeros((2, 8)), np.ones((2, 8)) * 3],
    ids=["both", "relu", "negative", "zeros", "constant"],
)
def test_a_range_lies_within_the_extremes_and_holds_the_bulk(method: str, values: np.ndarray) -> None:
    low, high = METHODS[method](histogram(values))
    assert min(values.min(), 0) <= low <= high <= max(values.max(), 0)
    middle = np.quantile(values, (0.01, 0.99))
    assert min(low, 0) <= middle[0] + 1e-3
    assert middle[1] - 1e-3 <= max(high, 0)


def test_each_method_is_what_its_name_says() -> None:
    seen = histogram(NORMAL)
    assert METHODS["minmax"](seen) == (NORMAL.min(), NORMAL.max())
    assert METHODS["average"](seen) == pytest.approx((NORMAL.min(1).mean(), NORMAL.max(1).mean()))
    assert METHODS["most-images"](seen) == pytest.approx(
        (np.quantile(NORMAL.min(1), 0.05), np.quantile(NORMAL.max(1), 0.95))
    )
    assert METHODS["percentile"](seen) == pytest.approx(np.quantile(NORMAL, (1e-4, 1 - 1e-4)), abs=1e-3)
    grid = [(low, high) for low in np.arange(-5.5, -2, 0.1) for high in np.arange(2, 5.5, 0.1)]
    best = min(error(NORMAL[:5], ends) for ends in grid)
    assert error(NORMAL[:5], METHODS["mse"](seen)) <= 1.03 * best


@pytest.mark.parametrize("method", ["average", "most-images", "percentile", "entropy"])
def test_an_odd_image_does_not_spoil_the_others(method: str) -> None:
    spoiled = [np.append(NORMAL[0], 400), *NORMAL[1:]]
    ends = METHODS[method](histogram(spoiled))
    assert error(NORMAL, ends) < 0.5 * error(NORMAL, (-5.0, 400.0))


def test_entropy_clips_what_hardly_occurs() -> None:
    low, high = METHODS["entropy"](histogram(RANDOM.laplace(size=(50, 20_000))))
    assert -low == pytest.approx(high, rel=0.3)
    assert high < 13
