"""The training loop: what it records, which weights it keeps, what it freezes, and how it computes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from edgebench.errors import UserError
from edgebench.networks import data, training
from edgebench.networks.data import Dataset, Split
from edgebench.networks.training.recipes import (
    AdamW,
    Augment,
    Distil,
    Dropout,
    EarlyStopping,
    Mix,
    OneCycle,
    Sgd,
    Stage,
)
from edgebench.schema.history import Epoch, Metrics
from edgebench.schema.preprocessing import Preprocessing
from tests.support.trainings import SGD, Lines, Spy, fit, network, recipe, weights
from tests.support.trainings import on_the_processor as on_the_processor
from tests.support.trainings import small as small

torch = pytest.importorskip("torch")


def made_up(shape: tuple[int, int, int], count: int = 32, classes: int = 10) -> Dataset:
    """Bytes without any sense, height x width x channels."""
    random = np.random.default_rng(0)
    split = Split(random.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.int64) % classes)
    preprocessing = Preprocessing((0.0,) * shape[2], (1.0,) * shape[2])
    names = tuple(map(str, range(classes)))
    return Dataset("made-up", split, split, split, names, preprocessing, flip=False, licence="none")


# ------------------------------------------------------------------ what is recorded


def test_a_training_says_all_of_itself(small: Dataset) -> None:
    model, chosen = network(), recipe(epochs=3)
    done = fit(model, small, chosen, seed=5, parent="abc")
    assert (done.recipe, done.seed, done.parent, done.split_sha256) == (
        chosen.recorded(), 5, "abc", data.split_hash(small),
    )  # fmt: skip
    assert done.device.startswith(("cpu, ", "cuda, "))
    assert done.epochs == done.kept_epoch == 3 and done.selected_on == "none"
    assert done.train == training.evaluate(model, small.train, small.preprocessing)
    assert done.validation == training.evaluate(model, small.validation, small.preprocessing)
    assert (done.history[-1].validation_loss, done.history[-1].validation_accuracy) == (
        pytest.approx(done.validation.loss), pytest.approx(done.validation.accuracy),
    )  # fmt: skip
    assert not model.training and all(parameter.requires_grad for parameter in model.parameters())


def test_an_epoch_of_history_is_all_numbers(small: Dataset) -> None:
    done = fit(network(), small, recipe(1, optimiser=Sgd(0.03)))
    (epoch,) = done.history
    assert isinstance(epoch, Epoch) and epoch.learning_rate == 0.03 and epoch.nonzero is None
    assert 0 < epoch.validation_accuracy < 1 and 0 < epoch.loss < 4


def test_many_small_steps_are_not_all_drawn(small: Dataset) -> None:
    progress = Lines()
    fit(network("mlp-small"), small, recipe(epochs=2, batch=1), progress=progress)
    assert sum(progress.amounts) == 640
    assert len(progress.amounts) < 100


@pytest.mark.parametrize(
    "choices",
    [
        {
            "optimiser": AdamW(1e-3),
            "schedule": OneCycle(),
            "augment": Augment(flip=True, shift=2, rotate=10, erase=0.5),
        },
        {"mix": Mix(0.2, 1.0), "label_smoothing": 0.1, "clip_gradients": 1.0},
    ],
)
def test_the_same_seed_gives_the_same_weights(small: Dataset, choices: dict[str, Any]) -> None:
    made = []
    for seed in (1, 1, 2):
        model = network()
        fit(model, small, recipe(**choices), seed=seed)
        made.append(weights(model))
    assert made[0] == made[1] != made[2]


class Masked(Spy):
    """As a pruning method with hooks: the parameter that moves has another name while the network trains."""

    def start(self, model: Any) -> None:
        from torch.nn.utils import prune

        prune.l1_unstructured(model.hidden, "weight", 0.5)
        super().start(model)

    def finish(self, model: Any) -> None:
        from torch.nn.utils import prune

        prune.remove(model.hidden, "weight")


def test_parameters_that_are_renamed_for_the_training_are_trained(small: Dataset) -> None:
    model, masked = network(), Masked()
    done = fit(model, small, recipe(1), sparsity=masked)
    assert not torch.equal(masked.weights[0]["hidden.weight_orig"], masked.before["hidden.weight_orig"])
    assert int((model.hidden.weight == 0).sum()) == model.hidden.weight.numel() // 2
    others = sum(layer.weight.numel() for layer in (model.stem, model.depthwise, model.pointwise, model.classifier))
    assert done.history[0].nonzero == others + model.hidden.weight.numel() // 2


def test_clipping_bounds_what_a_step_can_do(small: Dataset) -> None:
    model, spy = network("mlp-small"), Spy()
    fit(model, small, recipe(1, 320, Sgd(1.0), clip_gradients=1e-3), sparsity=spy)
    moved = sum(float((spy.weights[0][name] - old).square().sum()) for name, old in spy.before.items()) ** 0.5
    assert moved == pytest.approx(1e-3, rel=1e-2)


# ------------------------------------------------------------------ which weights are kept


def script(monkeypatch: pytest.MonkeyPatch, losses: list[float], accuracies: list[float]) -> None:
    """Validation that says what the test wants, epoch by epoch."""
    told = iter(zip(losses, accuracies, strict=True))

    def evaluate(model: Any, split: Split, preprocessing: Preprocessing) -> Metrics:
        loss, accuracy = next(told)
        return Metrics(accuracy, loss, len(split))

    monkeypatch.setattr("edgebench.networks.training.run.evaluate", evaluate)


def test_early_stopping_ends_and_gives_the_best_weights_back(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, [0.9, 0.5, 0.6, 0.7], [0.1, 0.2, 0.9, 0.3])
    model, spy = network(), Spy()
    done = fit(model, small, recipe(9, early_stopping=EarlyStopping(2)), sparsity=spy)
    assert (done.epochs, done.kept_epoch, done.selected_on) == (4, 2, "validation")
    assert all(torch.equal(model.state_dict()[name], kept) for name, kept in spy.weights[1].items())
    assert not torch.equal(spy.weights[1]["hidden.weight"], spy.weights[3]["hidden.weight"])


def test_the_epoch_of_the_best_validation_accuracy_can_be_kept(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, [0.9, 0.5, 0.6], [0.4, 0.2, 0.4])
    model, spy = network(), Spy()
    done = fit(model, small, recipe(3, keep="best-validation"), sparsity=spy)
    assert (done.epochs, done.kept_epoch, done.selected_on) == (3, 1, "validation"), "of equals the first"
    assert all(torch.equal(model.state_dict()[name], kept) for name, kept in spy.weights[0].items())


# ------------------------------------------------------------------ stages, dropout, teachers


def test_stages_really_unfreeze() -> None:
    """The lightweight-CNN study: head, hidden layers, everything; its own last stage moved nothing new."""
    images = made_up((32, 32, 3))
    model, spy = network("dual-cnn", images), Spy()
    chosen = training.recipe("dual-unfreeze")
    short = tuple(msgspec.structs.replace(stage, epochs=1, optimiser=SGD) for stage in chosen.stages)
    done = fit(model, images, msgspec.structs.replace(chosen, epochs=3, stages=short), sparsity=spy)
    assert [stage["trainable"] for stage in done.recipe["stages"]] == [2_570, 330_506, 334_706]

    def moved(epoch: int) -> set[str]:
        before = [spy.before, *spy.weights][epoch]
        return {name for name, tensor in spy.weights[epoch].items() if not torch.equal(tensor, before[name])}

    head = {"classifier.weight", "classifier.bias"}
    hidden = {f"branches.{branch}.7.{name}" for branch in (0, 1) for name in ("weight", "bias")}
    assert (moved(0), moved(1), moved(2)) == (head, head | hidden, set(spy.before))


def test_normalisation_stands_still_in_what_is_frozen() -> None:
    images = made_up((16, 16, 3))
    model, spy = network("res-se", images), Spy()
    stages = (Stage(("11.*",), 1), Stage(("*",), 1))
    fit(model, images, recipe(2, stages=stages), sparsity=spy)
    statistics = [name for name in spy.before if name.endswith("running_mean")]
    assert statistics
    for name in statistics:
        assert torch.equal(spy.weights[0][name], spy.before[name])
        assert not torch.equal(spy.weights[1][name], spy.before[name])


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((Stage(("clasifier.*",), 2),), "stage 1: 'clasifier.*' matches no parameter"),
        ((Stage(("*",), 1), Stage(("hidden.*",), 1)), "stage 2: it trains nothing that the previous stage did not"),
    ],
)
def test_a_stage_that_does_nothing_is_refused(small: Dataset, stages: tuple[Stage, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        fit(network(), small, recipe(2, stages=stages))
    assert words in str(caught.value)


def test_dropout_follows_the_recipe(small: Dataset) -> None:
    spy = Spy()
    fit(network("dual-cnn"), small, recipe(3, dropout=Dropout(0.4, 0.2)), sparsity=spy)
    assert spy.dropouts == pytest.approx([0.4, 0.3, 0.2])
    with pytest.raises(UserError, match="network has none"):
        fit(network("mlp-small"), small, recipe(dropout=Dropout(0.4, 0.2)))


def test_a_student_learns_what_its_teacher_says(small: Dataset) -> None:
    """The teacher says 3 to everything; the labels say something else."""
    teacher = network("mlp-small")
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
        teacher[-1].bias[3] = 20.0
    told = weights(teacher)

    def threes(alpha: float) -> float:
        student = network()
        fit(student, small, recipe(4, optimiser=AdamW(2e-3), distil=Distil(alpha=alpha)), teacher=teacher)
        return float((training.logits(student, small.test.images, small.preprocessing).argmax(1) == 3).mean())

    assert threes(1.0) == 1.0
    assert threes(0.0) < 0.5
    assert weights(teacher) == told


def test_teacher_and_recipe_belong_together(small: Dataset) -> None:
    with pytest.raises(UserError, match="none is given.*--teacher"):
        fit(network(), small, recipe(distil=Distil()))
    with pytest.raises(UserError, match="does not learn from a teacher"):
        fit(network(), small, recipe(), teacher=network())


# ------------------------------------------------------------------ precision and compiler


@pytest.mark.parametrize(("policy", "used"), [("always", True), ("never", False)])
def test_mixed_precision_is_used_where_it_is_asked_for(small: Dataset, policy: str, used: bool) -> None:
    seen: list[torch.dtype] = []
    model = network()
    model.stem.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    fit(model, small, recipe(1, mixed_precision=policy))
    assert (torch.bfloat16 in seen) == used
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(small: Dataset) -> None:
    plain, compiled = network("mlp-small"), network("mlp-small")
    fit(plain, small, recipe(compile="never"))
    fit(compiled, small, recipe(compile="always"))
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(tensor, compiled.state_dict()[name], atol=1e-4)


def test_little_work_is_not_shared_among_threads(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    told: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    fit(network("mlp-small"), small, recipe(1, batch=4))
    assert told == [1, 7]
    fit(network("ultralight"), small, recipe(1, batch=64))
    assert told == [1, 7, 7]
