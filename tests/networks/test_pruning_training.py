"""Zeros while a network trains: masks that stay, and networks that are sparse from the first."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgebench.errors import UserError
from edgebench.networks import pruning
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.pruning import PruningRequest
from edgebench.networks.training.recipes import Adam, AdamW, Lion, Sgd
from edgebench.schema import checkpoint
from edgebench.train import TrainOptions, train
from tests.support.prunings import FORMS, GREY, Watched, build, fit, masks, nonzeros, recipe
from tests.support.prunings import quick as quick
from tests.support.prunings import small as small

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "optimiser", [Sgd(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3), Adam(0.01), AdamW(0.01), Lion(0.001)]
)
def test_zeros_stay_zero(small: Dataset, optimiser: Any, form: Any) -> None:
    network = build("ultralight")
    expected = copy.deepcopy(network)
    pruning.apply("l1-global", expected, 0.6, GREY)
    zeros = pruning.sparsity("l1-global", 0.6, GREY, seed=0, form=form)
    fit(network, small, recipe(optimiser, clip_gradients=1.0), zeros)
    before, after = masks(expected), masks(network)
    assert all(torch.equal(before[name], after[name]) for name in before), "chosen from the weights before the training"
    assert not any(torch.signbit(weight[weight == 0]).any() for weight in network.parameters())
    assert not torch.equal(network.hidden.weight, expected.hidden.weight)


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_both_forms_end_in_the_same_weights(small: Dataset, clip: float) -> None:
    """Also where a norm is clipped: the gradients of zeros must not count."""
    ended = []
    for form in FORMS:
        network = build()
        zeros = pruning.sparsity("l1-uniform", 0.7, GREY, seed=0, form=form)
        fit(network, small, recipe(Sgd(0.05, momentum=0.9), clip_gradients=clip), zeros)
        ended.append(network.state_dict())
    for name, weight in ended[0].items():
        torch.testing.assert_close(weight, ended[1][name], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
def test_compiled_networks_are_multiplied_with_their_masks_too(small: Dataset) -> None:
    """Compiled code of the network without hooks, which is there already, must not be used for the one with them."""
    ended = []
    for form, policy in (("baked", "never"), ("baked", "always"), ("hooks", "always"), ("baked", "always")):
        network = build()
        chosen = recipe(Sgd(0.05), epochs=2, compile=policy)
        fit(network, small, chosen, pruning.sparsity("l1-uniform", 0.7, GREY, seed=0, form=form))
        ended.append(network[1].weight.detach())
    for weight in ended[1:]:
        torch.testing.assert_close(weight, ended[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_afterwards_nothing_is_left_registered(small: Dataset, form: Any) -> None:
    network = build()
    names = set(network.state_dict())
    fit(network, small, recipe(Sgd(0.1), epochs=1), pruning.sparsity("l1-uniform", 0.5, GREY, seed=0, form=form))
    assert set(network.state_dict()) == names
    network(torch.ones(2, *GREY)).sum().backward()
    gradient = network[1].weight.grad
    assert bool((gradient[network[1].weight == 0] != 0).any()), "gradients flow again"


def test_the_zeros_of_the_kept_epoch_are_kept(small: Dataset) -> None:
    """SET has other masks in the last epoch than in the best; those must not be cut out of its weights."""
    for form in FORMS:
        network = build()
        zeros = Watched(pruning.sparsity("set", 0.7, GREY, seed=0, form=form))
        steep = recipe(Sgd(3.0), epochs=4, keep="best-validation")
        run = fit(network, small, steep, zeros)
        assert run.kept_epoch < 4, "the test needs a training that gets worse"
        kept = zeros.seen[run.kept_epoch]
        assert all(torch.equal(found, kept[f"{name}.weight"]) for name, found in masks(network).items())


def test_removing_methods_keep_no_zeros() -> None:
    with pytest.raises(UserError, match="removes parts and keeps no zeros"):
        pruning.sparsity("channels", 0.5, GREY, seed=0)


def test_a_network_that_is_sparse_from_the_first_says_so(quick: Dataset, tmp_path: Path) -> None:
    made = train(
        "mlp-small",
        epochs=2,
        options=TrainOptions(pruning=PruningRequest("set", 0.8, form="hooks")),
        out=tmp_path / "set.safetensors",
    )
    (known,) = checkpoint.load(made.path).about.pruning
    assert (known.parent, known.form, known.ratio, known.options) == (
        ("", "baked", 0.8, {"variant": "corrected", "layers": "linear"})
    )
    assert (known.weights, known.nonzero) == (12_960, 2592)
    assert sum(nonzeros(rebuild(made))) == 2592
    with pytest.raises(UserError, match="none of its 2 linear layers"):
        train("ultralight", epochs=2, options=TrainOptions(pruning=PruningRequest("l1-hidden", 0.5)), out=tmp_path)
