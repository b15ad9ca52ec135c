"""Networks that are pruned while they train or after it, and what is left of their weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from edgebench.networks import data, models, sparsity, training
from edgebench.networks.data import Dataset
from edgebench.networks.training.recipes import Constant
from edgebench.progress import Silent

torch = pytest.importorskip("torch")

GREY = (1, 28, 28)
FORMS = ["baked", "hooks"]


@pytest.fixture(scope="module")
def small() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(
        full,
        train=data.balanced(full.train, 200),
        validation=data.balanced(full.validation, 50),
        test=data.balanced(full.test, 50),
    )


@pytest.fixture
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(data, "load", lambda name: small)
    return small


def recipe(optimiser: Any, epochs: int = 3, **choices: Any) -> training.Recipe:
    return msgspec.structs.replace(
        training.recipe("default"), epochs=epochs, batch=50, optimiser=optimiser, schedule=Constant(), **choices
    )


def build(name: str = "mlp-small", seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return models.build(name, GREY, 10)


def fit(network: Any, images: Dataset, chosen: training.Recipe, zeros: Any) -> training.Training:
    return training.fit(
        network, images, chosen, seed=0, label="x", progress=Silent(), options=training.FitOptions(zeros)
    )


def masks(network: Any) -> dict[str, Any]:
    return {layer.name: layer.module.weight != 0 for layer in sparsity.layers(network, GREY)}


def nonzeros(network: Any) -> list[int]:
    return [row.nonzero for row in sparsity.table(network, GREY).rows]


class Watched:
    """A Sparsity that remembers, after every epoch, what is not zero."""

    def __init__(self, inside: Any) -> None:
        self.inside, self.seen = inside, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def _note(self) -> None:
        self.seen.append({name: held.kept.clone() for name, held in self.inside.held.items()})

    def start(self, model: Any) -> None:
        self.inside.start(model)
        self._note()

    def after_epoch(self, model: Any, optimiser: Any, *, last: bool) -> None:
        self.inside.after_epoch(model, optimiser, last=last)
        self._note()
