"""Recipes as files, and what their optimisers and schedules compute."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from edgebench.errors import BadFile, UnknownName
from edgebench.networks import training
from edgebench.networks.training import schedules
from edgebench.networks.training.recipes import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    Lion,
    OneCycle,
    Plateau,
    Sgd,
    WarmUpCosine,
)

torch = pytest.importorskip("torch")
optimisers = pytest.importorskip("edgebench.networks.training.optimisers")

MINIMAL = "about: x\nepochs: 2\nbatch: 4\noptimiser: {name: sgd, learning_rate: 0.1}\n"


@pytest.mark.parametrize("name", training.names())
def test_every_recipe_loads_and_says_what_it_is(name: str) -> None:
    recipe = training.recipe(name)
    assert recipe.name == name and len(recipe.about) > 20
    assert msgspec.convert(recipe.recorded(), training.Recipe) == recipe


def test_the_studies_choices() -> None:
    plos = training.recipe("plos-mlp")
    assert (plos.batch, plos.epochs, plos.optimiser, plos.schedule) == (4, 60, Sgd(0.001), Constant())
    assert training.recipe("plos-octmnist").optimiser == Lion(1e-5, 1e-3, (0.9, 0.99))
    assert training.recipe("plos-octmnist").clip_gradients == 1.0
    assert training.recipe("cifar100-efficientnet").resize == (224, 224)
    improved = training.recipe("res-se-mix")
    assert improved.mix.mixup_alpha == 0.2 and improved.mix.cutmix_alpha == 1.0
    assert improved.early_stopping and improved.early_stopping.patience == 7


def test_an_unknown_recipe_is_answered_with_a_guess() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'plos-mlp'"):
        training.recipe("plos-mpl")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "lable_smoothing: 0.1\n", "lable_smoothing.*Did you mean 'label_smoothing'"),
        (MINIMAL + "augment: {flipp: true}\n", r"flipp.*augment.*Did you mean 'flip'"),
        (MINIMAL.replace("learning_rate", "learning_rat"), "Did you mean 'learning_rate'"),
        (MINIMAL.replace("name: sgd", "name: sdg"), "sdg"),
        (MINIMAL.replace("epochs: 2", "epochs: 0"), "epochs"),
        (MINIMAL + "stages: [{train: ['*'], epochs: 3}]\n", "3 epochs in total, but `epochs` is 2"),
        ("just words", "recipe.yaml"),
        ("a: [", "not YAML"),
    ],
)
def test_a_file_is_read_strictly(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(BadFile, match=words) as caught:
        training.recipe(file)
    assert str(file) in caught.value.where


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINIMAL)
    assert training.recipe(str(file)) == training.Recipe("x", 2, 4, Sgd(0.1), name="mine")
    with pytest.raises(BadFile, match="cannot be read"):
        training.recipe(tmp_path / "missing.yaml")


# ------------------------------------------------------------------ schedules


@pytest.mark.parametrize("steps", [20, 57, 600])
def test_one_cycle_is_torchs(steps: int) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.3, total_steps=steps)
    schedule = OneCycle()
    for step in range(steps):
        ours = 0.3 * schedules.factor(schedule, step=step, steps=steps, epochs=1, losses=[])
        assert ours == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        momentum = schedules.momentum(schedule, step=step, steps=steps)
        assert momentum == pytest.approx(optimiser.param_groups[0]["momentum"], abs=1e-9)
        optimiser.step()
        if step < steps - 1:
            theirs.step()


def test_the_cosine_goes_down_once_an_epoch() -> None:
    rates = [schedules.factor(Cosine(), step=0, steps=1, epochs=20, losses=[1.0] * done) for done in range(20)]
    assert rates == pytest.approx([(1 + math.cos(math.pi * epoch / 20)) / 2 for epoch in range(20)])


def test_the_warm_up_is_a_line_and_then_a_cosine() -> None:
    schedule = WarmUpCosine(0.1)
    rates = [schedules.factor(schedule, step=step, steps=100, epochs=1, losses=[]) for step in range(100)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[10:] == pytest.approx([(1 + math.cos(math.pi * step / 90)) / 2 for step in range(90)])


def test_the_plateau_is_torchs() -> None:
    losses = [1.0, 0.9, 0.95, 0.93, 0.91, 0.92, 0.9, 0.8, 0.81, 0.82, 0.80001, 0.84, 0.85, 0.7, 0.71]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=2)
    seen = []
    for done in range(1, len(losses) + 1):
        theirs.step(losses[done - 1])
        ours = schedules.factor(Plateau(0.5, 2), step=0, steps=1, epochs=99, losses=losses[:done])
        assert ours == optimiser.param_groups[0]["lr"]
        seen.append(ours)
    assert sorted(set(seen)) == [0.25, 0.5, 1.0]


def test_constant_is_constant_and_leaves_momentum_alone() -> None:
    assert schedules.factor(Constant(), step=7, steps=9, epochs=3, losses=[1.0]) == 1.0
    assert schedules.momentum(Constant(), step=7, steps=9) is None


def test_dropout_goes_on_a_line() -> None:
    values = [schedules.dropout(0.4, 0.2, epoch=epoch, epochs=5) for epoch in range(5)]
    assert values == pytest.approx([0.4, 0.35, 0.3, 0.25, 0.2])
    assert schedules.dropout(0.4, 0.2, epoch=0, epochs=1) == 0.4


# ------------------------------------------------------------------ optimisers


@pytest.mark.parametrize(
    ("choice", "theirs"),
    [
        (Sgd(0.1), lambda p: torch.optim.SGD(p, 0.1)),
        (Sgd(0.1, 0.9, True, 1e-2), lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, weight_decay=1e-2)),
        (Adam(0.1, 1e-2), lambda p: torch.optim.Adam(p, 0.1, weight_decay=1e-2)),
        (AdamW(0.1, 1e-2, (0.8, 0.9)), lambda p: torch.optim.AdamW(p, 0.1, (0.8, 0.9), weight_decay=1e-2)),
    ],
)
def test_an_optimiser_moves_as_torchs(choice, theirs) -> None:
    ours, plain = (torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0])) for _ in range(2))
    for parameter, optimiser in ((ours, optimisers.make(choice, [ours])), (plain, theirs([plain]))):
        for _ in range(4):
            parameter.grad = parameter.detach().cos()
            optimiser.step()
    assert torch.allclose(ours, plain, atol=1e-6)
    assert not torch.equal(ours, torch.tensor([1.0, -2.0, 3.0]))


def test_lion_is_its_papers_formula() -> None:
    rate, decay, blend, memory = 0.1, 0.5, 0.9, 0.99
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimiser = optimisers.make(Lion(rate, decay, (blend, memory)), [parameter])
    weights, averages = [1.0, -2.0], [0.0, 0.0]
    for gradients in ([0.5, -0.1], [-0.02, -0.3], [-5.0, 4.0]):
        parameter.grad = torch.tensor(gradients)
        optimiser.step()
        for i, gradient in enumerate(gradients):
            direction = math.copysign(1.0, blend * averages[i] + (1 - blend) * gradient)
            weights[i] -= rate * (direction + decay * weights[i])
            averages[i] = memory * averages[i] + (1 - memory) * gradient
    assert parameter.tolist() == pytest.approx(weights, abs=1e-6)


def test_rate_and_momentum_are_set_where_the_optimiser_has_them() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    sgd, adam = (optimisers.make(choice, [parameter]) for choice in (Sgd(0.1, 0.9), AdamW(0.1)))
    for optimiser in (sgd, adam):
        optimisers.set_rate(optimiser, 0.05, 0.87)
    assert (sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]) == (0.05, 0.87)
    assert (adam.param_groups[0]["lr"], adam.param_groups[0]["betas"]) == (0.05, (0.87, 0.999))
