"""Which epoch's weights are kept, and when to stop: functions of the epochs so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Recipe
    from edgebench.schema.history import Epoch


def kept_epoch(recipe: Recipe, history: Sequence[Epoch]) -> int:
    """Counted from 1; the first of equals."""
    if recipe.early_stopping:
        return 1 + min(range(len(history)), key=lambda epoch: history[epoch].validation_loss)
    if recipe.keep == "best-validation":
        return 1 + max(range(len(history)), key=lambda epoch: history[epoch].validation_accuracy)
    return len(history)


def selected_on(recipe: Recipe) -> Literal["none", "validation"]:
    return "validation" if recipe.early_stopping or recipe.keep == "best-validation" else "none"


def stops(recipe: Recipe, history: Sequence[Epoch]) -> bool:
    """Whether `patience` epochs have passed since the best one."""
    stopping = recipe.early_stopping
    return bool(stopping and history and len(history) - kept_epoch(recipe, history) >= stopping.patience)
