"""A few values for all weights of a layer: the lossy stage of Deep Compression (Han et al. 2016, arXiv:1510.00149)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

ROUNDS = 30


def share(array: Float32Array, bits: int) -> Float32Array:
    """Every non-zero weight becomes the nearest of 2**bits values that k-means finds for this array.

    It starts with equidistant values, as the paper does: few weights are large, but they matter most.
    """
    import numpy as np

    flat = array.reshape(-1)
    weights = np.sort(flat[flat != 0]).astype(np.float64)
    if not len(weights):
        return array.copy()
    values = np.linspace(weights[0], weights[-1], 2**bits)
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    for _ in range(ROUNDS):
        ends = np.searchsorted(weights, (values[1:] + values[:-1]) / 2)
        edges = np.concatenate([[0], ends, [len(weights)]])
        members = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(members, 1)
        values = np.where(members > 0, means, values)
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, flat)
    shared: Float32Array = np.where(flat != 0, values[nearest], 0.0).astype(np.float32).reshape(array.shape)
    return shared
