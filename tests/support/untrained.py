"""Untrained networks, and how many of their weights are left, for the tests of pruning methods."""

from __future__ import annotations

from typing import Any

import pytest

from edgebench.networks import models, sparsity

torch = pytest.importorskip("torch")

GREY, COLOUR = (1, 28, 28), (3, 32, 32)


def build(name: str, shape: models.InputShape = GREY) -> Any:
    torch.manual_seed(0)
    return models.build(name, shape, 10).eval()


def total(model: Any, shape: models.InputShape = GREY) -> sparsity.LayerSparsity:
    return sparsity.table(model, shape).total
