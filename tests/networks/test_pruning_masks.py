"""Pruning methods that set single weights of an untrained network to zero, and the first connections of SET."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.errors import UserError
from edgebench.networks import models, pruning, sparsity
from edgebench.networks.pruning import set as evolution
from tests.support.untrained import COLOUR, GREY, build, total

torch = pytest.importorskip("torch")
nn = torch.nn

SMALL_MLP = [(16, 784), (16, 16), (10, 16)]
MEDIUM_MLP = [(4000, 784), (1000, 4000), (4000, 1000), (10, 4000)]


# ------------------------------------------------------------------ single weights


@pytest.mark.parametrize(("ratio", "zeros"), [(0.3, 3_351_610), (0.5, 5_586_016), (0.7, 7_820_422)])
def test_global_zeros_of_resnet18(ratio: float, zeros: int) -> None:
    """The approximate-compression study's own numbers."""
    model = build("resnet18", COLOUR)
    pruning.apply("l1-global", model, ratio, COLOUR)
    row = total(model, COLOUR)
    assert (row.weights, row.weights - row.nonzero, row.dead) == (11_172_032, zeros, 6_946_816)


@pytest.mark.parametrize(
    ("name", "method", "ratio", "effective_percent"),
    [
        ("mlp-small", "l1-hidden", 0.5, 0.99),
        ("mlp-small", "l1-hidden", 0.8, 1.58),
        ("mlp-small", "l1-uniform", 0.5, 50),
        ("mlp-small", "l1-uniform", 0.8, 80),
        ("mlp-medium", "l1-hidden", 0.5, 35.8),
        ("mlp-medium", "l1-hidden", 0.8, 57.3),
    ],
)
def test_effective_sparsity_of_study_001(name: str, method: str, ratio: float, effective_percent: float) -> None:
    model = build(name)
    pruning.apply(method, model, ratio, GREY)
    effective = sparsity.table(model, GREY).effective * 100
    assert round(effective, 2 if name == "mlp-small" else 1) == effective_percent


def test_the_smallest_go_and_exactly_so_many() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(5, 4, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([1.0, -1.0]).repeat(10).reshape(4, 5))  # all alike
        model[1].weight[2] = torch.tensor([-0.5, 0.1, 2.0, -3.0, 0.2])
    pruning.apply("l1-uniform", model, 0.13, (1, 1, 5))  # round(2.6) = 3
    assert model[1].weight[2].tolist() == [0.0, 0.0, 2.0, -3.0, 0.0]
    assert int((model[1].weight == 0).sum()) == 3
    pruning.apply("l1-uniform", model, 0.5, (1, 1, 5))
    assert int((model[1].weight == 0).sum()) == 10


def test_zeros_are_positive() -> None:
    """-0.0 has bits, and a packed file would keep them."""
    model = build("mlp-small")
    pruning.apply("l1-global", model, 0.5, GREY)
    weight = model[1].weight
    assert not bool(torch.signbit(weight[weight == 0]).any())


def test_uniform_leaves_convolutions_unless_asked() -> None:
    for layers, share in (("linear", 0.0), ("all", 0.5)):
        model = build("ultralight")
        pruning.apply("l1-uniform", model, 0.5, GREY, layers=layers)
        rows = {row.layer: row.sparsity for row in sparsity.table(model, GREY).rows}
        assert (rows["pointwise"], rows["hidden"]) == (share, 0.5)


class Odd(nn.Module):
    """Registered in another order than it runs, with a layer that may never run."""

    def __init__(self, idle: bool = False) -> None:
        super().__init__()
        self.last = nn.Linear(16, 3)
        self.middle = nn.Linear(16, 16)
        self.first = nn.Linear(4, 16)
        if idle:
            self.idle = nn.Linear(50, 50)

    def forward(self, image):
        return self.last(self.middle(self.first(image.flatten(1))))


@pytest.mark.parametrize(("method", "options"), [("l1-hidden", {}), ("set", {"layers": "hidden"})])
def test_hidden_means_in_the_order_of_running(method: str, options: dict[str, Any]) -> None:
    model = Odd()
    pruning.apply(method, model, 0.5, (1, 2, 2), **options)
    rows = {row.layer: row.sparsity for row in sparsity.table(model, (1, 2, 2)).rows}
    assert list(rows) == ["first", "middle", "last"]
    assert rows == {"first": 0, "middle": 0.5, "last": 0}


@pytest.mark.parametrize("method", ["l1-hidden", "l1-uniform", "l1-global", "channels"])
def test_a_layer_that_never_runs_is_refused(method: str) -> None:
    with pytest.raises(UserError, match="never run: idle"):
        pruning.apply(method, Odd(idle=True), 0.5, (1, 2, 2))


def test_nothing_left_to_prune_is_refused() -> None:
    with pytest.raises(UserError, match="none of its 2 linear layers lies"):
        pruning.apply("l1-hidden", build("ultralight"), 0.5, GREY)
    with pytest.raises(UserError, match="no linear layer"):
        pruning.apply("l1-uniform", nn.Conv2d(1, 2, 3), 0.5, GREY)
    with pytest.raises(UserError, match="removes none of 12 weights"):
        pruning.apply("l1-uniform", nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), 0.01, (1, 2, 2))


# ------------------------------------------------------------------ the first connections of SET


@pytest.mark.parametrize(
    ("shapes", "ratio", "epsilon", "densities"),
    [
        (SMALL_MLP, 0.5, 7.596, [0.484, 0.950, 1.0]),
        (SMALL_MLP, 0.8, 3.021, [0.193, 0.378, 0.491]),
        (MEDIUM_MLP, 0.5, 375.27, [0.573, 0.469, 0.469, 1.0]),
        (MEDIUM_MLP, 0.8, 148.48, [0.227, 0.186, 0.186, 1.0]),
    ],
)
def test_the_densities_of_erdos_renyi(
    shapes: list[tuple[int, int]], ratio: float, epsilon: float, densities: list[float]
) -> None:
    """In docs/studies.md, plos-mlp. Its 0.573 is 0.57248, rounded up."""
    found = evolution.solve_epsilon(ratio, shapes)
    assert found == pytest.approx(epsilon, abs=0.006)
    assert evolution.densities(found, shapes) == pytest.approx(densities, abs=0.00061)
    assert sum(evolution.connections(found, shapes)) == round((1 - ratio) * sum(a * b for a, b in shapes))


def test_the_connections_of_mocanus_network() -> None:
    shapes = [(4000, 3072), (1000, 4000), (4000, 1000), (10, 4000)]
    assert evolution.connections(20.0, shapes) == [141_440, 100_000, 100_000, 40_000]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_epsilon_gives_the_ratio(shapes: list[tuple[int, int]], ratio: float) -> None:
    counts = evolution.connections(evolution.solve_epsilon(ratio, shapes), shapes)
    whole = [rows * columns for rows, columns in shapes]
    assert all(0 <= count <= most for count, most in zip(counts, whole, strict=True))
    assert abs(sum(counts) - (1 - ratio) * sum(whole)) <= 0.5 + 1e-6


def test_reference_has_epsilon_20_unless_asked() -> None:
    def left(**choices: Any) -> int:
        model = build("mlp-small")
        pruning.apply("set", model, choices.pop("ratio", None), GREY, variant="reference", **choices)
        return total(model).nonzero

    # 20 * 800 is more than the first layer has, so that all are dense: nothing would move.
    with pytest.raises(UserError, match="removes none of 12,960 weights"):
        left()
    assert left(ratio=0.8) == 2592
    assert left(epsilon=3.0) == 3 * (800 + 32 + 26)


def test_published_connections_are_drawn_one_by_one() -> None:
    shares = []
    for seed in range(4):
        model = build("mlp-small")
        pruning.apply("set", model, 0.8, GREY, seed=seed, variant="as-published")
        shares.append([row.sparsity for row in sparsity.table(model, GREY).rows])
    assert len({tuple(one) for one in shares}) == 4, "a count of its own for every seed"
    assert all(abs(one[0] - 0.8) < 0.02 for one in shares)


def test_random_connections_do_not_know_the_weights() -> None:
    """Weights and masks of one seed: drawn from one stream, the kept would be the largest of all weights."""
    torch.manual_seed(0)
    model = models.build("mlp-small", GREY, 10)
    pruning.apply("set", model, 0.5, GREY, seed=0, variant="as-published")
    left = model[1].weight.detach()[model[1].weight != 0]
    assert abs(float(left.mean())) < 0.1 * float(left.std())
