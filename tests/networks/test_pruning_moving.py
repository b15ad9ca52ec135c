"""Zeros while a network trains: the masks of SET, which move."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from edgebench.networks import pruning
from edgebench.networks.data import Dataset
from edgebench.networks.pruning._moving import Rules, rewire
from edgebench.networks.training.recipes import Adam
from tests.support.prunings import FORMS, GREY, Watched, build, fit, nonzeros, recipe
from tests.support.prunings import small as small

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("variant", ["corrected", "reference", "as-published"])
def test_set_moves_connections_and_never_their_number(small: Dataset, variant: str, form: Any) -> None:
    network = build()
    zeros = Watched(pruning.sparsity("set", 0.8, GREY, seed=1, form=form, variant=variant))
    run = fit(network, small, recipe(Adam(0.01), epochs=4), zeros)
    first = zeros.seen[0]
    for seen in zeros.seen[1:]:
        assert {name: int(kept.sum()) for name, kept in seen.items()} == {
            name: int(kept.sum()) for name, kept in first.items()
        }
    moved = [not torch.equal(a["1.weight"], b["1.weight"]) for a, b in zip(zeros.seen, zeros.seen[1:], strict=False)]
    assert moved == ([True] * 4 if variant == "as-published" else [True, True, True, False])
    assert {epoch.nonzero for epoch in run.history} == {sum(nonzeros(network))}
    assert sum(nonzeros(network)) == sum(int(kept.sum()) for kept in first.values())


LAYER = Rules(zeta=0.4, before=False, regrow=False, values="layer")


def test_the_weakest_of_each_sign_are_dropped() -> None:
    weight = torch.tensor([[0.1, 0.5, 0.9, -0.2, -0.3, -0.8, 7.0, 8.0, 9.0, 0.4, 0.3, -0.1]])
    kept = torch.tensor([[True] * 6 + [False] * 3 + [True] * 3])
    dropped, grown = rewire(weight, kept, LAYER, torch.Generator().manual_seed(0))
    assert sorted(dropped.tolist()) == [0, 10, 11], "int(0.4 * 5) positive, int(0.4 * 4) negative"
    assert sorted(grown.tolist()) == [6, 7, 8], "nowhere else was room"


def test_no_more_is_dropped_than_can_grow_elsewhere() -> None:
    weight = torch.linspace(1, 2, 20).reshape(4, 5)
    kept = torch.ones(4, 5, dtype=torch.bool)
    kept[0, 3] = False
    dropped, grown = rewire(weight, kept, LAYER, torch.Generator())
    assert (dropped.tolist(), grown.tolist()) == ([0], [3])
    kept[0, 3] = True
    dropped, grown = rewire(weight, kept, LAYER, torch.Generator())
    assert (len(dropped), len(grown)) == (0, 0), "a dense layer stays as it is"


def test_only_some_variants_grow_what_was_just_dropped() -> None:
    weight, kept = torch.linspace(1, 2, 100).reshape(10, 10), torch.zeros(10, 10, dtype=torch.bool)
    kept[:8] = True
    back = {}
    for regrow in (False, True):
        rules = dataclasses.replace(LAYER, regrow=regrow, zeta=0.2)
        dropped, grown = rewire(weight, kept, rules, torch.Generator().manual_seed(0))
        assert len(dropped) == len(grown) == 16
        back[regrow] = bool(torch.isin(grown, dropped).any())
    assert back == {False: False, True: True}


def moving(variant: str, form: Any = "baked") -> tuple[Any, Any, Any, Any]:
    """A started SET, with the network as it was before, and an optimiser that has a past everywhere."""
    network = build()
    before = copy.deepcopy(network)
    zeros = pruning.sparsity("set", 0.8, GREY, seed=0, form=form, variant=variant)
    zeros.start(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.0)
    network(torch.rand(8, *GREY)).square().sum().backward()
    optimiser.step()
    for held in zeros.held.values():
        optimiser.state[held.parameter]["exp_avg"].fill_(1.0)
    return zeros, network, before, optimiser


@pytest.mark.parametrize("form", FORMS)
def test_corrected_connections_are_new(form: Any) -> None:
    zeros, network, before, optimiser = moving("corrected", form)
    held = zeros.held["1.weight"]
    was = held.kept.clone()
    zeros.before_epoch(network, optimiser)
    assert torch.equal(held.kept, was)
    zeros.after_epoch(network, optimiser, last=False)
    grown = held.kept & ~was
    fresh = held.parameter.detach()[grown]
    assert len(fresh) > 100 and float(fresh.abs().max()) <= 784**-0.5 and float(fresh.std()) > 0.4 * 784**-0.5
    assert not bool(torch.isin(fresh, before[1].weight).any())
    momentum = optimiser.state[held.parameter]["exp_avg"]
    assert bool((momentum[grown] == 0).all()) and bool((momentum[was] == 1).all())


@pytest.mark.parametrize("form", FORMS)
def test_published_connections_come_back_as_they_were(form: Any) -> None:
    zeros, network, before, optimiser = moving("as-published", form)
    held = zeros.held["1.weight"]
    was = held.kept.clone()
    zeros.before_epoch(network, optimiser)
    grown = held.kept & ~was
    assert int(grown.sum()) > 100
    assert torch.equal(held.parameter[grown], before[1].weight[grown])
    assert bool((optimiser.state[held.parameter]["exp_avg"] == 1).all())
    now = held.kept.clone()
    zeros.after_epoch(network, optimiser, last=False)
    assert torch.equal(held.kept, now)


def test_reference_connections_are_drawn_wider() -> None:
    zeros, network, _, optimiser = moving("reference")
    held = zeros.held["1.weight"]
    was = held.kept.clone()
    zeros.after_epoch(network, optimiser, last=False)
    assert 0.08 < float(held.parameter.detach()[held.kept & ~was].std()) < 0.12


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("variant", ["corrected", "as-published"])
def test_a_moved_mask_goes_on_after_a_kill(variant: str, form: Any) -> None:
    zeros, network, _, optimiser = moving(variant, form)
    zeros.before_epoch(network, optimiser)
    zeros.after_epoch(network, optimiser, last=False)
    state, weights = zeros.state(), copy.deepcopy(network.state_dict())
    zeros.before_epoch(network, optimiser)
    zeros.after_epoch(network, optimiser, last=False)

    again, other, _, optimiser = moving(variant, form)
    other.load_state_dict(weights)
    again.restore(state)
    again.before_epoch(other, optimiser)
    again.after_epoch(other, optimiser, last=False)
    for name, held in zeros.held.items():
        assert torch.equal(held.kept, again.held[name].kept)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), other.parameters(), strict=True))


def test_one_object_serves_two_trainings(small: Dataset) -> None:
    zeros = pruning.sparsity("set", 0.8, GREY, seed=0)
    ended = []
    for _ in range(2):
        network = build()
        fit(network, small, recipe(Adam(0.01), epochs=2), zeros)
        ended.append(network[1].weight)
    assert torch.equal(*ended)
