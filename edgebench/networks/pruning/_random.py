"""Random numbers of pruning methods."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def generator(purpose: str, seed: int) -> torch.Generator:
    """A stream of its own for each purpose.

    The initial weights of a training are drawn from the seed itself: a mask from the same numbers would keep, of all
    weights, those with the largest values.
    """
    import torch

    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))
