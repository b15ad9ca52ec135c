"""Which epoch's weights are kept, and when to stop: functions of what the epochs gave so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Recipe
    from edgebench.schema.history import Epoch


def kept_epoch(recipe: Recipe, history: Sequence[Epoch]) -> int:
    """From 1; of equals the first."""
    if recipe.early_stopping:
        return 1 + min(range(len(history)), key=lambda epoch: history[epoch].validation_loss)
    if recipe.keep == "best-validation":
        return 1 + max(range(len(history)), key=lambda epoch: history[epoch].validation_accuracy)
    return len(history)


def selected_on(recipe: Recipe) -> Literal["none", "validation"]:
    return "validation" if recipe.early_stopping or recipe.keep == "best-validation" else "none"


def stops(recipe: Recipe, history: Sequence[Epoch]) -> bool:
    """Have there been `patience` epochs since the best one?"""
    stopping = recipe.early_stopping
    return bool(stopping and history and len(history) - kept_epoch(recipe, history) >= stopping.patience)
