"""Short trainings of small networks on the processor, and what watches them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edgebench.networks import data, models, training
from edgebench.networks.data import Dataset
from edgebench.networks.training import Recipe, placement
from edgebench.networks.training.recipes import Sgd
from edgebench.progress import Silent
from edgebench.schema import checkpoint
from edgebench.schema.history import Training

torch = pytest.importorskip("torch")

SGD = Sgd(0.05, momentum=0.9)


class Lines(Silent):
    """A progress that remembers its lines, and how often it was advanced."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.amounts: list[float] = []

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[Lines]:
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.amounts.append(amount)

    def say(self, line: str) -> None:
        self.lines.append(line)


class Spy:
    """Watches a training through the door that is open for pruning methods: the weights after each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.dropouts: list[float] = []

    def start(self, model: Any) -> None:
        self.before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def before_epoch(self, model: Any, optimiser: Any) -> None:
        self.dropouts += [layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)][:1]

    def after_step(self, model: Any, optimiser: Any) -> None: ...

    def after_epoch(self, model: Any, optimiser: Any, *, last: bool) -> None:
        self.weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    def finish(self, model: Any) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only there the same seed gives the same bits; subprocesses inherit it."""
    monkeypatch.setattr(placement, "device", lambda: torch.device("cpu"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(scope="module")
def small() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 320), test=data.balanced(full.test, 200))


@pytest.fixture
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    real = data.load
    monkeypatch.setattr(data, "load", lambda name: small if name == "fashion-mnist-mini" else real(name))
    return small


def recipe(epochs: int = 2, batch: int = 64, optimiser: Any = SGD, **choices: Any) -> Recipe:
    return Recipe("for a test", epochs, batch, optimiser, **choices)


def fit(network: Any, dataset: Dataset, chosen: Recipe, *, seed: int = 0, **options: Any) -> Training:
    progress = options.pop("progress", Silent())
    given = training.FitOptions(**options)
    return training.fit(network, dataset, chosen, seed=seed, label="x", progress=progress, options=given)


def network(model: str = "ultralight", dataset: Dataset | None = None, **arguments: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape, classes = (dataset.input_shape, len(dataset.class_names)) if dataset else ((1, 28, 28), 10)
        return models.build(model, shape, classes, **arguments)


def weights(made: Any) -> str:
    """A hash of all of them: a failure that compares megabytes is worked out for hours."""
    tensors = made.tensors() if isinstance(made, checkpoint.Checkpoint) else made.state_dict()
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()
