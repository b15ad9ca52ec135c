"""The training loop: what it keeps, what it freezes, what it costs, and how it goes on after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgebench import checkpoint, data, models, training
from edgebench.data import Dataset, Preprocessing, Split
from edgebench.errors import UserError
from edgebench.history import Epoch, Metrics, Training
from edgebench.progress import Silent
from edgebench.train import spread, train, train_seeds
from edgebench.training import Recipe, placement
from edgebench.training.recipes import AdamW, Augment, Distil, Dropout, EarlyStopping, Mix, OneCycle, Sgd, Stage
from tests.conftest import cli_command, run_cli

torch = pytest.importorskip("torch")

SGD = Sgd(0.05, momentum=0.9)


class Lines(Silent):
    """A progress that remembers its lines, and how often it was told to move."""

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


def made_up(shape: tuple[int, int, int], count: int = 32, classes: int = 10) -> Dataset:
    """Bytes without any sense, height x width x channels."""
    random = np.random.default_rng(0)
    split = Split(random.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.int64) % classes)
    preprocessing = Preprocessing((0.0,) * shape[2], (1.0,) * shape[2])
    names = tuple(map(str, range(classes)))
    return Dataset("made-up", split, split, split, names, preprocessing, flip=False, licence="none")


def recipe(epochs: int = 2, batch: int = 64, optimiser: Any = SGD, **choices: Any) -> Recipe:
    return Recipe("for a test", epochs, batch, optimiser, **choices)


def fit(network: Any, dataset: Dataset, chosen: Recipe, **options: Any) -> Training:
    return training.fit(network, dataset, chosen, **{"seed": 0, "label": "x", "progress": Silent(), **options})


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

    monkeypatch.setattr("edgebench.training.run.evaluate", evaluate)


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
        ((Stage(("clasifier.*",), 2),), "stage 1: 'clasifier.*' is the name of no parameter"),
        ((Stage(("*",), 1), Stage(("hidden.*",), 1)), "stage 2: it trains nothing that the stage before did not"),
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
    with pytest.raises(UserError, match="there is none.*--teacher"):
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


# ------------------------------------------------------------------ after a kill

KILLED = """
about: everything that has a state
epochs: 6
batch: 64
optimiser: {name: adamw, learning_rate: 0.004}
schedule: {name: one-cycle}
mix: {mixup_alpha: 0.4, probability: 0.5}
augment: {flip: true, shift: 1}
keep: best-validation
"""


@pytest.mark.usefixtures("one_thread")
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Every training in a process of its own: libraries that other tests loaded may round in another way."""
    (tmp_path / "all.yaml").write_text(KILLED)
    command = (
        "train", "dual-cnn", "--recipe", "all.yaml", "--dataset", "fashion-mnist-mini@640", "--seed", "4", "--out",
    )  # fmt: skip
    out = tmp_path / "net.safetensors"
    state = out.with_suffix(".part")

    process = subprocess.Popen(cli_command(*command, out), cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not state.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert state.exists() and not out.exists()

    resumed = run_cli(*command, out, cwd=tmp_path)
    assert resumed.returncode == 0 and "goes on after epoch" in resumed.stdout
    assert not state.exists()
    straight = run_cli(*command, tmp_path / "straight.safetensors", cwd=tmp_path)
    assert straight.returncode == 0 and "goes on" not in straight.stdout
    checkpoints = [checkpoint.load(path) for path in (out, tmp_path / "straight.safetensors")]
    assert weights(checkpoints[0]) == weights(checkpoints[1])
    ours, theirs = (made.about.training[0] for made in checkpoints)
    assert ours.history == theirs.history and ours.kept_epoch == theirs.kept_epoch
    assert ours.cost is not None and theirs.cost is not None
    assert ours.cost.images == theirs.cost.images == 6 * 640


class Stop(Exception):
    pass


class StopsAfter(Spy):
    """Ends a training in the middle of an epoch, as far as the state on the disk can tell."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.left = epochs

    def before_epoch(self, model: Any, optimiser: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop


@pytest.mark.parametrize("done", [1, 2, 3])
def test_stages_and_stopping_go_on_where_they_were(small: Dataset, tmp_path: Path, done: int) -> None:
    stages = (Stage(("classifier.*",), 2, AdamW(0.01)), Stage(("*",), 2))
    chosen = recipe(4, stages=stages, schedule=OneCycle(), early_stopping=EarlyStopping(4))
    state = tmp_path / "x.part"
    with pytest.raises(Stop):
        fit(network(), small, chosen, sparsity=StopsAfter(done), state=state)
    resumed, straight = network(), network()
    ours = fit(resumed, small, chosen, sparsity=Spy(), state=state)
    theirs = fit(straight, small, chosen, sparsity=Spy())
    assert weights(resumed) == weights(straight) and ours.history == theirs.history
    again = network()
    assert fit(again, small, chosen, sparsity=Spy(), state=state).history == ours.history, "a whole one is not trained"
    assert weights(again) == weights(straight)


@pytest.mark.parametrize("difference", ["recipe", "seed", "weights", "garbage"])
def test_what_another_training_left_is_told_and_not_used(small: Dataset, tmp_path: Path, difference: str) -> None:
    state = tmp_path / "x.part"
    with pytest.raises(Stop):
        fit(network(), small, recipe(3), sparsity=StopsAfter(1), state=state)
    if difference == "garbage":
        state.write_bytes(state.read_bytes()[:500])
    model = network(widths=(8, 8, 8)) if difference == "weights" else network()
    chosen = recipe(3, label_smoothing=0.2) if difference == "recipe" else recipe(3)
    progress = Lines()
    done = fit(model, small, chosen, seed=int(difference == "seed"), sparsity=Spy(), state=state, progress=progress)
    assert any("another training" in line for line in progress.lines)
    assert done.epochs == 3 and done.cost.images == 3 * 320


# ------------------------------------------------------------------ train()


@pytest.fixture
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    real = data.load
    monkeypatch.setattr(data, "load", lambda name: small if name == "fashion-mnist-mini" else real(name))
    return small


def test_several_seeds_and_their_spread(quick: Dataset, tmp_path: Path) -> None:
    progress = Lines()
    made = train_seeds("mlp-small", seeds=2, seed=3, epochs=1, out=tmp_path, progress=progress)
    assert [one.path.name for one in made] == ["mlp-small-seed3.safetensors", "mlp-small-seed4.safetensors"]
    assert [one.about.training[0].seed for one in made] == [3, 4]
    assert weights(made[0]) != weights(made[1])
    assert weights(made[0]) == weights(train("mlp-small", seed=3, epochs=1, out=tmp_path / "x.safetensors"))
    assert progress.lines[-1].startswith("mlp-small, 2 seeds: test accuracy")
    assert sorted(path.name for path in tmp_path.glob("*.part")) == []
    with pytest.raises(UserError, match="Name a folder"):
        train_seeds("mlp-small", seeds=2, out=tmp_path / "one.safetensors")


def test_the_seeds_that_were_done_before_a_kill_are_kept(
    quick: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = training.fit, []

    def fit_twice_only(*arguments: Any, **options: Any) -> Training:
        seen.append(options["seed"])
        if len(seen) == 2:
            raise Stop
        return real(*arguments, **options)

    monkeypatch.setattr(training, "fit", fit_twice_only)
    with pytest.raises(Stop):
        train_seeds("mlp-small", seeds=3, epochs=1, out=tmp_path)
    made = train_seeds("mlp-small", seeds=3, epochs=1, out=tmp_path)
    assert seen == [0, 1, 1, 2]
    assert [one.path.stem for one in made] == ["mlp-small-seed0", "mlp-small-seed1", "mlp-small-seed2"]


def test_spread_is_mean_and_standard_deviation() -> None:
    text = "test accuracy 80.00%, standard deviation 10.00 points (70.00% to 90.00%)"
    assert spread([0.7, 0.8, 0.9]) == text
    assert spread([0.5]) == "test accuracy 50.00% (50.00% to 50.00%)"


def test_branches_are_taken_over(quick: Dataset, tmp_path: Path) -> None:
    sources = [
        train("dual-cnn", arguments={"branches": 1}, epochs=1, seed=seed, out=tmp_path / f"{seed}.safetensors")
        for seed in (0, 1)
    ]
    paths = [source.path for source in sources]
    stage = (Stage(("classifier.*",), 1),)
    made = train("dual-cnn", recipe=recipe(1, stages=stage), branches_from=paths, out=tmp_path / "dual.safetensors")
    tensors = made.tensors()
    for branch, source in enumerate(sources):
        for name, tensor in source.tensors().items():
            if name.startswith("branches.0."):
                assert torch.equal(tensors[name.replace("branches.0.", f"branches.{branch}.")], tensor)
    assert made.about.training[0].parent == "+".join(source.digest for source in sources)
    with pytest.raises(UserError, match="1 checkpoints for a network of 2 branches"):
        train("dual-cnn", epochs=1, branches_from=paths[:1], out=tmp_path)


def test_a_teacher_is_a_checkpoint(quick: Dataset, tmp_path: Path) -> None:
    teacher = train("ultralight", epochs=1, out=tmp_path)
    student = train("mlp-small", recipe="distil", epochs=1, teacher=teacher.path, out=tmp_path)
    assert student.about.training[0].recipe["distil"]["teacher"] == teacher.digest


def test_a_teacher_of_other_classes_or_images_is_refused(quick: Dataset, tmp_path: Path) -> None:
    teacher = train("ultralight", epochs=1, out=tmp_path)
    others = msgspec.structs.replace(teacher.about, class_names=tuple("0123456789"))
    stranger = checkpoint.save(teacher.build(), others, tmp_path / "stranger.safetensors")
    with pytest.raises(UserError, match="another classes than 'fashion-mnist-mini'"):
        train("mlp-small", recipe="distil", teacher=stranger.path, out=tmp_path)
    darker = msgspec.structs.replace(teacher.about, preprocessing=Preprocessing((0.1,), (0.3,)))
    stranger = checkpoint.save(teacher.build(), darker, tmp_path / "stranger.safetensors")
    with pytest.raises(UserError, match="another preprocessing"):
        train("mlp-small", recipe="distil", teacher=stranger.path, out=tmp_path)


def test_normalisation_and_size_of_the_recipe_are_the_checkpoints(quick: Dataset, tmp_path: Path) -> None:
    chosen = recipe(1, resize=(32, 32), normalise=training.recipe("plos-mlp").normalise)
    made = train("ultralight", recipe=chosen, out=tmp_path)
    about = checkpoint.load(made.path).about
    assert about.input_shape == (1, 32, 32) and about.preprocessing == Preprocessing((0.5,), (0.5,), (32, 32))
    again = training.evaluate(made.build(), quick.test, about.preprocessing)
    assert again.accuracy == about.metrics.accuracy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs: 0 is no training"),
        ({"recipe": "dual-unfreeze", "epochs": 3}, "each stage of recipe 'dual-unfreeze' has its own"),
        ({"arguments": {"width": 3}}, "--argument of 'ultralight'"),
        ({"recipe": "plos-vgg16"}, "`normalise` is for 3 channels, 'fashion-mnist-mini' has 1"),
    ],
)
def test_bad_options_are_told_before_any_work(
    quick: Dataset, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        train("ultralight", out=tmp_path, **options)
    assert words in str(caught.value)
    assert not list(tmp_path.glob("*.safetensors"))


def test_images_too_small_for_a_network_are_told(quick: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"res-se: it cannot take images of 1x2x2 \("):
        train("res-se", recipe=recipe(resize=(2, 2)), out=tmp_path)


def test_the_command_line_names_what_is_wrong(tmp_path: Path) -> None:
    done = run_cli("train", "ultralight", "--recipe", "defalt", cwd=tmp_path)
    assert done.returncode == 1 and "Did you mean 'default'?" in done.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    command = cli_command(
        "train", "ultralight", "--epochs", "200", "--dataset", "fashion-mnist-mini@320", "--out", tmp_path
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
    while not (tmp_path / "ultralight.part").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command again goes on" in told
    assert (tmp_path / "ultralight.part").exists()


def test_an_epoch_of_history_is_all_numbers(small: Dataset) -> None:
    done = fit(network(), small, recipe(1, optimiser=Sgd(0.03)))
    (epoch,) = done.history
    assert isinstance(epoch, Epoch) and epoch.learning_rate == 0.03 and epoch.nonzero is None
    assert 0 < epoch.validation_accuracy < 1 and 0 < epoch.loss < 4
