"""Random numbers of pruning methods."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def generator(purpose: str, seed: int) -> torch.Generator:
    """A separate stream for each purpose.

    Initial weights are drawn from the seed itself: a mask from the same numbers would keep just the weights with the
    largest values.
    """
    import torch

    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))
