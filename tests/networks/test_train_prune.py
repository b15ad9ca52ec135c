from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgebench.errors import UnknownName, UserError
from edgebench.networks import data, models, pruning, training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.pruning._cuts import Cuts
from edgebench.progress import Silent
from edgebench.prune import prune
from edgebench.schema import checkpoint
from edgebench.schema.history import Size
from edgebench.train import train
from tests.support.trainings import quick as quick

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def small() -> Dataset:
    """640 training images of the shipped slice: an epoch takes a moment."""
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 640), test=data.balanced(full.test, 500))


class Lines(Silent):
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.totals: dict[str, float] = {}
        self.advanced: dict[str, float] = {}
        self.notes: list[str] = []

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[Lines]:
        self.totals[label] = total or 0
        self.label = label
        self.advanced[label] = 0
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.advanced[self.label] += amount
        self.notes.append(note)

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_training_learns_and_records_what_it_did(quick: Dataset, tmp_path: Path) -> None:
    progress = Lines()
    made = train("ultralight", "fashion-mnist-mini", epochs=6, seed=3, out=tmp_path, progress=progress)
    assert made.path == tmp_path / "ultralight.safetensors"
    about = checkpoint.load(made.path).about
    assert about.metrics.accuracy > 0.5, "chance is 0.1"
    assert about.metrics.test_images == 500
    (run,) = about.training
    assert (run.seed, run.recipe["epochs"], run.recipe["optimiser"]["name"]) == (3, 6, "adamw")
    assert run.split_sha256 == data.split_hash(data.load(about.dataset))
    assert about.size == Size(101_930, 342_464, 407_720)
    assert progress.advanced == progress.totals == {"train ultralight": 30}
    assert any("loss" in note and "accuracy" in note for note in progress.notes)
    # The figure in the file is what the weights in the file give.
    again = training.evaluate(rebuild(made), quick.test, about.preprocessing)
    assert again.accuracy == about.metrics.accuracy


def test_the_seed_decides_the_weights(quick: Dataset, tmp_path: Path) -> None:
    def weights(seed: int, name: str) -> np.ndarray:
        torch.randn(5)  # what happened before must not matter
        made = train("ultralight", epochs=1, seed=seed, out=tmp_path / f"{name}.safetensors")
        return np.concatenate([tensor.numpy().reshape(-1) for _, tensor in sorted(made.tensors().items())])

    first = weights(0, "a")
    assert np.array_equal(first, weights(0, "b"))
    assert not np.array_equal(first, weights(1, "c"))


def test_training_leaves_the_callers_random_numbers_alone(quick: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train("ultralight", epochs=1, out=tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_loss_that_is_no_number_is_told(small: Dataset) -> None:
    from edgebench.networks.training.recipes import AdamW

    model = models.build("ultralight", (1, 28, 28), 10)
    hopeless = msgspec.structs.replace(training.recipe("default"), optimiser=AdamW(1e20))
    with pytest.raises(UserError, match="not finite.*lower learning rate"):
        training.fit(model, small, hopeless, seed=0, label="x", progress=Silent())


def test_bad_arguments_are_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'ultralight'"):
        train("ultralite", out=tmp_path)
    with pytest.raises(UnknownName, match="Did you mean 'fashion-mnist-mini'"):
        train("ultralight", "fashion-mnist-mni", out=tmp_path)
    with pytest.raises(UserError, match="--epochs"):
        train("ultralight", epochs=0, out=tmp_path)


@pytest.fixture
def dense(quick: Dataset, tmp_path: Path) -> checkpoint.Checkpoint:
    return train("ultralight", epochs=4, out=tmp_path / "dense.safetensors")


def test_pruning_gives_the_studys_network(dense: checkpoint.Checkpoint, quick: Dataset) -> None:
    progress = Lines()
    pruned = prune(dense.path, ratio=0.3, options={"round_to": 1}, finetune=2, out=dense.path.parent, progress=progress)
    assert pruned.path.name == "dense-channels.safetensors"
    assert pruned.step.before == Size(101_930, 342_464, 407_720)
    assert pruned.step.after == Size(48_410, 192_324, 193_640)
    assert pruned.size_bytes_after == pruned.path.stat().st_size < pruned.size_bytes_before / 2
    for number in ("101,930 -> 48,410", "342,464 -> 192,324", f"{pruned.size_bytes_after:,} bytes"):
        assert number in progress.lines[-1]

    loaded = checkpoint.load(pruned.path)
    network = rebuild(loaded)
    widths = (network.stem.out_channels, network.pointwise.out_channels, network.hidden.out_features)
    assert widths == (11, 22, 44)
    assert network.depthwise.groups == 11
    assert network.classifier.out_features == 10
    assert loaded.about.pruning[0].parent == dense.digest
    assert training.evaluate(network, quick.test, loaded.about.preprocessing).accuracy == loaded.about.metrics.accuracy
    assert loaded.about.metrics.accuracy > 0.6


def test_three_channels_too() -> None:
    model = models.build("ultralight", (3, 32, 32), 10)
    pruning.apply("channels", model, 0.3, (3, 32, 32), round_to=1)
    size = models.count(model, (3, 32, 32))
    assert (size.parameters, size.macs) == (63_128, 453_816)


def test_a_pruned_network_is_rebuilt_with_equal_answers(tmp_path: Path, dense: checkpoint.Checkpoint) -> None:
    network = rebuild(dense)
    pruning.apply("channels", network, 0.5, dense.about.input_shape)
    made = checkpoint.save(network, dense.about, tmp_path / "half.safetensors")
    image = torch.randn(4, *dense.about.input_shape)
    assert torch.equal(rebuild(checkpoint.load(made.path))(image), network.eval()(image))


def test_pruning_twice_keeps_the_history(dense: checkpoint.Checkpoint) -> None:
    once = prune(dense.path, finetune=0, out=dense.path.parent)
    twice = prune(once.path, finetune=0, out=dense.path.parent)
    history = twice.checkpoint.about.pruning
    assert [step.parent for step in history] == [dense.digest, once.checkpoint.digest]
    assert history[1].before == history[0].after
    assert twice.checkpoint.about.metrics.accuracy == twice.accuracy_before_finetune


def test_pruning_removes_the_weakest_channels(dense: checkpoint.Checkpoint) -> None:
    network = rebuild(dense)
    with torch.no_grad():  # the whole group of these channels is nearly nothing
        for tensor in (network.stem.weight, network.stem.bias, network.depthwise.weight, network.depthwise.bias):
            tensor[[2, 5, 11]] *= 1e-6
        network.pointwise.weight[:, [2, 5, 11]] *= 1e-6
    kept = [channel for channel in range(16) if channel not in (2, 5, 11)]
    strong = network.stem.weight[kept].detach().clone()
    pruning.apply("channels", network, 0.2, dense.about.input_shape, round_to=1)  # int(16 * 0.8) = 12: one more goes
    left = {tuple(row) for row in network.stem.weight.reshape(len(network.stem.weight), -1).tolist()}
    assert len(left) == 12
    assert left < {tuple(row) for row in strong.reshape(len(kept), -1).tolist()}


def test_zeroing_is_not_called_pruning(dense: checkpoint.Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def zero(method: str, model, *_, **__) -> Cuts:
        with torch.no_grad():
            model.hidden.weight.mul_(0)
        return Cuts()

    monkeypatch.setattr(pruning, "apply", zero)
    with pytest.raises(UserError, match=r"101,930 of 101,930.*nothing was removed structurally"):
        prune(dense.path, out=dense.path.parent)
    assert not dense.path.with_name("dense-channels.safetensors").exists()


def test_a_network_with_nothing_to_remove_is_refused(dense: checkpoint.Checkpoint) -> None:
    narrow = models.build("ultralight", (1, 28, 28), 10, widths=(1, 1, 1))
    about = msgspec.structs.replace(dense.about, arguments={"widths": [1, 1, 1]})
    made = checkpoint.save(narrow, about, dense.path.with_name("narrow.safetensors"))
    with pytest.raises(UserError, match="structurally"):
        prune(made.path, ratio=0.3, out=dense.path.parent)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ratio": 0.0}, "--ratio"),
        ({"ratio": 1.0}, "--ratio"),
        ({"finetune": -1}, "--finetune"),
        ({"method": "chanels"}, "Did you mean 'channels'"),
    ],
)
def test_bad_pruning_arguments(dense: checkpoint.Checkpoint, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        prune(dense.path, out=dense.path.parent, **arguments)


@pytest.mark.slow
def test_the_default_recipe_gets_the_best_out_of_the_slice(tmp_path: Path) -> None:
    """The demo's network: at least 88 % with 6,500 images, and pruned within three points of that."""
    dense = train("ultralight", "fashion-mnist-mini", out=tmp_path)
    assert dense.about.metrics.accuracy >= 0.88
    pruned = prune(dense.path, out=tmp_path)
    assert pruned.checkpoint.about.metrics.accuracy >= dense.about.metrics.accuracy - 0.03


def test_a_reason_is_told_once_whatever_its_details() -> None:
    fails = "the network does not run without some of its channels"
    cuts = Cuts(4, 40, {"a": f"{fails} (24, not 20)", "b": f"{fails} (18, not 20)", "last": "output layer"})
    assert cuts.lines == [
        "channels: 4 of 40 removed",
        f"not cut: a, b: {fails} (24, not 20)",
        "not cut: last: output layer",
    ]
