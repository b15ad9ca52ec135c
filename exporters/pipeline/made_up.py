"""Inputs that nobody gave: random numbers within what a network takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgebench.schema.tensors import is_batched

if TYPE_CHECKING:
    from edgebench.schema.bundle import TensorSpec

SEED = 0
# Of whole numbers where it is not known what they stand for.
LEAST_KNOWN = 2


def arrays(inputs: Sequence[TensorSpec], count: int, table_sizes: Mapping[str, int]) -> dict[str, Any]:
    """`count` samples of each input. table_sizes: of the tables that whole numbers are looked up in, by input."""
    import numpy as np

    random = np.random.default_rng(SEED)
    return {spec.name: _numbers(random, spec, count, table_sizes.get(spec.name, LEAST_KNOWN)) for spec in inputs}


def _numbers(random: Any, spec: TensorSpec, count: int, below: int) -> Any:
    shape = (count, *(spec.shape[1:] if is_batched(spec) else spec.shape))
    if spec.is_whole:
        highest = 256 if spec.dtype == "uint8" else below
        return random.integers(0, 2 if spec.dtype == "bool" else highest, shape).astype(spec.dtype)
    return random.standard_normal(shape, "float32").astype(spec.dtype)


def described(inputs: Sequence[TensorSpec], table_sizes: Mapping[str, int]) -> str:
    """What the inputs of the golden check are, for the user."""
    parts = []
    for spec in inputs:
        if spec.dtype == "bool":
            what = "true and false"
        elif spec.dtype == "uint8":
            what = "0 to 255"
        elif spec.is_whole:
            known = table_sizes.get(spec.name)
            what = f"0 to {known - 1}, its table" if known else "0 and 1, as nothing tells what it takes"
        else:
            what = "normal random numbers"
        parts.append(f"{spec.name} ({what})")
    return ", ".join(parts)
