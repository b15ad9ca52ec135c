"""Pruning methods on untrained networks: which weights go, how many, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebench import models, plugins, pruning, sparsity
from edgebench.cli._terminal import named_values
from edgebench.errors import UnknownName, UserError
from edgebench.pruning import set as evolution

torch = pytest.importorskip("torch")
nn = torch.nn

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
SMALL_MLP = [(16, 784), (16, 16), (10, 16)]
MEDIUM_MLP = [(4000, 784), (1000, 4000), (4000, 1000), (10, 4000)]


def build(name: str, shape: models.InputShape = GREY) -> Any:
    torch.manual_seed(0)
    return models.build(name, shape, 10).eval()


def total(model: Any, shape: models.InputShape = GREY) -> sparsity.Row:
    return sparsity.table(model, shape).total


# ------------------------------------------------------------------ the contract, for every file in the folder


@pytest.mark.parametrize("method", pruning.names())
def test_a_method_says_first_of_which_kind_it_is(method: str) -> None:
    plugin = plugins.load("edgebench.pruning", method, kind="pruning method")
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
    plugin = plugins.load("edgebench.pruning", method, kind="pruning method")
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
        ("dead-taps", 0.3, {}, "removes all that it can"),
        ("l1-uniform", 0.3, {"layers": "hidden"}, "there is no 'hidden'"),
        ("set", 0.5, {"variant": "published"}, "Did you mean 'as-published'"),
        ("set", 0.5, {"layers": "al"}, "there is no 'al'"),
        ("set", 0.5, {"zeta": 1.5}, "zeta: 1.5 is no share"),
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
        with pytest.raises(UserError, match="no NAME=VALUE. Write for example --option criterion=l1"):
            named_values("--option", [text], "criterion=l1")


# ------------------------------------------------------------------ channels


@pytest.mark.parametrize("criterion", ["l1", "l2", "hybrid"])
@pytest.mark.parametrize(
    ("name", "shape", "parameters", "macs"),
    [
        ("resnet18", COLOUR, 5_465_146, 18_367_280),
        ("mobilenetv2", GREY, 1_115_776, 2_796_362),
        ("ultralight", GREY, 48_410, 192_324),
        ("ultralight", COLOUR, 63_128, 453_816),
    ],
)
def test_sizes_without_a_third_of_the_channels(
    name: str, shape: models.InputShape, parameters: int, macs: int, criterion: str
) -> None:
    """In docs/studies.md, ultralight; the others of its cells are in test_models.py."""
    model = build(name, shape)
    pruning.apply("channels", model, 0.3, shape, criterion=criterion)
    size = models.count(model, shape)
    assert (size.parameters, size.macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("channels", "kept"),
    [(16, 11), (24, 16), (32, 22), (64, 44), (96, 67), (128, 89), (144, 100), (160, 112), (192, 134), (256, 179)]
    + [(320, 224), (384, 268), (512, 358), (576, 403), (960, 672), (1280, 896)],
)
def test_how_many_channels_are_kept(channels: int, kept: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, channels), nn.ReLU(), nn.Linear(channels, 3))
    pruning.apply("channels", model, 0.3, (1, 2, 2))
    assert (model[1].out_features, model[3].in_features) == (kept, kept)


def weakest(criterion: str) -> list[int]:
    """Which of three channels goes; what follows them weighs nothing."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    #                     sums of magnitudes 8, 6, 7; of squares 16, 36, 14.5
    rows = [[2.0, 2.0, 2.0, 2.0], [6.0, 0.0, 0.0, 0.0], [2.5, 1.5, 1.5, 1.5]]
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor(rows))
        model[2].weight.zero_()
    pruning.apply("channels", model, 0.3, (1, 2, 2), criterion=criterion)
    left = model[1].weight.tolist()
    return [channel for channel, row in enumerate(rows) if row not in left]


def test_the_criterion_decides_which_channels_go() -> None:
    """Hybrid: 8/7 + 16/22.2, 6/7 + 36/22.2, 7/7 + 14.5/22.2; the last is the smallest."""
    assert [weakest(criterion) for criterion in ("l1", "l2", "hybrid")] == [[1], [2], [2]]


@pytest.mark.parametrize("name", ["ultralight", "mobilenetv2"])
def test_channels_are_rounded_up_to_a_multiple(name: str) -> None:
    plain, rounded = build(name), build(name)
    pruning.apply("channels", plain, 0.3, GREY)
    pruning.apply("channels", rounded, 0.3, GREY, round_to=8)
    found = zip(sparsity.layers(plain, GREY)[:-1], sparsity.layers(rounded, GREY)[:-1], strict=True)
    for few, many in found:
        kept, dense = few.module.weight.shape[0], many.module.weight.shape[0]
        assert dense == -(-kept // 8) * 8, many.name


def test_the_layer_that_answers_is_the_last_that_runs() -> None:
    """Not the last that was registered."""

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answers = nn.Linear(8, 3)
            self.hidden = nn.Linear(4, 8)

        def forward(self, image):
            return self.answers(self.hidden(image.flatten(1)))

    model = Backwards()
    pruning.apply("channels", model, 0.5, (1, 2, 2))
    assert (model.hidden.out_features, model.answers.out_features) == (4, 3)


# ------------------------------------------------------------------ dead taps


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"), [(COLOUR, 4_234_826, 30_069_760), (GREY, 4_228_554, 26_064_128)]
)
def test_resnet18_without_its_dead_taps(shape: models.InputShape, parameters: int, macs: int) -> None:
    model = build("resnet18", shape)
    images = torch.randn(4, *shape)
    with torch.no_grad():
        expected = model(images)
        dead = total(model, shape).dead
        pruning.apply("dead-taps", model, None, shape)
        assert float((model(images) - expected).abs().max()) < 1e-5
    size = models.count(model, shape)
    assert (dead, size.parameters, size.macs) == (6_946_816, parameters, macs)
    assert total(model, shape).dead == 0
    assert round(size.weights_bytes / 1e6) == 17


def test_a_network_without_dead_taps_is_refused() -> None:
    with pytest.raises(UserError, match="no kernel is wider"):
        pruning.apply("dead-taps", build("ultralight"), None, GREY)


sides = st.integers(1, 5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(sides, sides),
    kernel=st.tuples(sides, sides),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.one_of(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.just("same")),
    dilation=st.integers(1, 3),
)
def test_dead_is_what_has_no_gradient_and_cutting_it_changes_nothing(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pad: Any, dilation: int
) -> None:
    """Any geometry: the weights called dead are those without a gradient on an image without a zero."""
    stride = (1, 1) if pad == "same" else stride
    torch.manual_seed(0)
    model = nn.Conv2d(1, 2, kernel, stride=stride, padding=pad, dilation=dilation, bias=False).double()
    image = torch.rand(1, 1, *size, dtype=torch.float64) + 1
    try:
        expected = model(image)
    except RuntimeError:  # the kernel is larger than the padded map
        return
    expected.sum().backward()
    (layer,) = sparsity.layers(model, (1, *size))
    assert torch.equal(sparsity.live(layer), model.weight.grad != 0)
    try:
        pruning.apply("dead-taps", model, None, (1, *size))
    except UserError:
        return
    assert model.weight.shape[2:] == model.kernel_size != kernel
    torch.testing.assert_close(model(image), expected)


def test_only_zero_padding_is_dead() -> None:
    model = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    assert total(model, (1, 1, 1)).dead == 0
    with pytest.raises(UserError, match="no kernel is wider"):
        pruning.apply("dead-taps", model, None, (1, 1, 1))


def test_a_layer_used_twice_keeps_what_either_use_needs() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, image):
            return self.conv(self.conv(image).mean((2, 3), keepdim=True))  # on 4x4, then on 1x1

    row = total(Twice(), (1, 4, 4))
    assert (row.dead, row.macs) == (0, 9 * (16 + 1))


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
    with pytest.raises(UserError, match="none of 2 linear layers is left"):
        pruning.apply("l1-hidden", build("ultralight"), 0.5, GREY)
    with pytest.raises(UserError, match="no linear layer"):
        pruning.apply("l1-uniform", nn.Conv2d(1, 2, 3), 0.5, GREY)
    with pytest.raises(UserError, match="keeps every one of 12 weights"):
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
    with pytest.raises(UserError, match="keeps every one of 12,960 weights"):
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


# ------------------------------------------------------------------ the table


def test_the_table_counts_what_is_there() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False), nn.Flatten(), nn.Linear(2, 3))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].weight[0, 0, 0] = 0.0  # three taps that are dead on a 1x1 map
        model[0].weight[1, 0, 1, 1] = 0.0  # the only live one of the second channel
    made = sparsity.table(model, (1, 1, 1), dense_weights=48)
    assert made.rows[0] == sparsity.Row("0", 18, 14, 2, 1, 18, 14)
    assert (made.rows[0].sparsity, made.rows[0].live_sparsity, made.rows[0].dead) == (4 / 18, 0.5, 16)
    assert made.total == sparsity.Row("total", 24, 20, 8, 7, 24, 20)
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
    with pytest.raises(UserError, match="--csv"):
        sparsity.write_csv(made, tmp_path)


def test_a_method_that_is_no_file_is_unknown() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'l1-global'"):
        pruning.is_structured("l1-globl")
