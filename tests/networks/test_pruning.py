"""What every pruning method does, what it is asked for, and the table of what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgebench import plugins
from edgebench.cli._terminal import named_values
from edgebench.errors import UnknownName, UserError
from edgebench.networks import models, pruning, sparsity
from tests.support.untrained import COLOUR, GREY, build, total

torch = pytest.importorskip("torch")
nn = torch.nn


# ------------------------------------------------------------------ the contract, for every file in the folder


@pytest.mark.parametrize("method", pruning.names())
def test_a_method_says_first_of_which_kind_it_is(method: str) -> None:
    plugin = plugins.load("edgebench.networks.pruning", method, kind="pruning method")
    assert str(plugin.__doc__).startswith("Smaller" if hasattr(plugin, "shrink") else "Masks")


@pytest.mark.parametrize("method", pruning.names())
def test_a_method_does_what_its_kind_does(method: str) -> None:
    """On a network that has something for each: dead taps, channels, and three linear layers."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(6, 12),
        nn.Linear(12, 8),
        nn.Linear(8, 3),
    )
    shape = (1, 3, 3)
    before, zeros_before = models.count(model, shape), total(model, shape).nonzero
    pruning.apply(method, model, None if pruning.is_lossless(method) else 0.5, shape)
    after = models.count(model, shape)
    if pruning.is_structured(method):
        assert after.parameters < before.parameters and after.macs < before.macs
    else:
        assert after == before
        assert total(model, shape).nonzero < zeros_before
    assert model(torch.zeros(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("method", [name for name in pruning.names() if not pruning.is_structured(name)])
def test_masks_change_nothing(method: str) -> None:
    model = build("mlp-small")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    plugin = plugins.load("edgebench.networks.pruning", method, kind="pruning method")
    masks = plugin.masks(model, GREY, 3, ratio=0.5)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    parameters = dict(model.named_parameters())
    assert masks and all(kept.dtype == torch.bool and kept.shape == parameters[n].shape for n, kept in masks.items())


@pytest.mark.parametrize(
    ("method", "ratio", "options", "words"),
    [
        ("chanels", 0.3, {}, "Did you mean 'channels'"),
        ("channels", 0.0, {}, "--ratio: 0 is not between 0 and 1"),
        ("channels", 1.0, {}, "--ratio: 1 is not between 0 and 1"),
        ("channels", 0.3, {"criterium": "l1"}, "Did you mean 'criterion'"),
        ("channels", 0.3, {"criterion": "l3"}, "there is no 'l3'"),
        ("channels", 0.3, {"round_to": "eight"}, "--option round_to: 'eight' does not fit"),
        ("channels", 0.3, {"round_to": 0}, "Give 1 or more"),
        ("dead-taps", 0.3, {}, "takes no ratio"),
        ("l1-uniform", 0.3, {"layers": "hidden"}, "there is no 'hidden'"),
        ("set", 0.5, {"variant": "published"}, "Did you mean 'as-published'"),
        ("set", 0.5, {"layers": "al"}, "there is no 'al'"),
        ("set", 0.5, {"zeta": 1.5}, "zeta: 1.5 is not a share"),
        ("set", None, {"epsilon": -1.0}, "gives no connections"),
        ("set", 0.5, {"epsilon": 20.0}, "either --ratio or epsilon"),
        ("set", None, {"epsilon": 20.0, "variant": "as-published"}, "takes a ratio"),
        ("set", None, {}, "Give --ratio"),
    ],
)
def test_a_bad_choice_is_told(method: str, ratio: float | None, options: dict[str, Any], words: str) -> None:
    model = build("mlp-small")
    before = total(model)
    with pytest.raises(UserError, match=words):
        pruning.apply(method, model, ratio, GREY, **options)
    assert total(model) == before


def test_options_as_typed_have_their_types() -> None:
    typed = named_values("--option", ["criterion=l1", "round_to=8"], "criterion=l1")
    assert pruning.settings("channels", 0.3, typed) == {"ratio": 0.3, "criterion": "l1", "round_to": 8}
    assert pruning.settings("set", 0.3, {"zeta": "0.1"})["zeta"] == 0.1
    for text in ("criterion", "=l1", "criterion=", "criterion=[l1"):
        with pytest.raises(UserError, match="not NAME=VALUE. For example: --option criterion=l1"):
            named_values("--option", [text], "criterion=l1")


def test_a_method_that_is_no_file_is_unknown() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'l1-global'"):
        pruning.is_structured("l1-globl")


# ------------------------------------------------------------------ the table


def test_the_table_counts_what_is_there() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False), nn.Flatten(), nn.Linear(2, 3))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].weight[0, 0, 0] = 0.0  # three taps that are dead on a 1x1 map
        model[0].weight[1, 0, 1, 1] = 0.0  # the only live one of the second channel
    made = sparsity.table(model, (1, 1, 1), dense_weights=48)
    assert made.rows[0] == sparsity.LayerSparsity("0", 18, 14, 2, 1, 18, 14)
    assert (made.rows[0].sparsity, made.rows[0].live_sparsity, made.rows[0].dead) == (4 / 18, 0.5, 16)
    assert made.total == sparsity.LayerSparsity("total", 24, 20, 8, 7, 24, 20)
    assert made.effective == 28 / 48


def test_macs_are_those_of_the_network() -> None:
    for name, shape in (("mobilenetv2", COLOUR), ("dual-cnn", COLOUR), ("ultralight", GREY)):
        model = build(name, shape)
        assert total(model, shape).macs == models.count(model, shape).macs


def test_the_csv_has_a_line_for_each_layer(tmp_path: Path) -> None:
    made = sparsity.table(build("mlp-small"), GREY)
    sparsity.write_csv(made, tmp_path / "layers.csv")
    lines = (tmp_path / "layers.csv").read_text().splitlines()
    assert lines[0] == "layer,weights,nonzero,dead,sparsity,live_sparsity,macs,nonzero_macs"
    assert lines[1] == "1,12544,12544,0,0.0,0.0,12544,12544" and len(lines) == 5
    with pytest.raises(UserError, match="it is a folder"):
        sparsity.write_csv(made, tmp_path)
