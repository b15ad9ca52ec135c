"""Pruning methods that make an untrained network smaller: channels, and taps that see only padding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebench.errors import UserError
from edgebench.networks import models, pruning, sparsity
from edgebench.networks.pruning import _rounding
from tests.support.untrained import COLOUR, GREY, build, total

torch = pytest.importorskip("torch")
nn = torch.nn


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
    pruning.apply("channels", model, 0.3, shape, criterion=criterion, round_to=1)
    size = models.count(model, shape)
    assert (size.parameters, size.macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("channels", "kept"),
    [(16, 11), (24, 16), (32, 22), (64, 44), (96, 67), (128, 89), (144, 100), (160, 112), (192, 134), (256, 179)]
    + [(320, 224), (384, 268), (512, 358), (576, 403), (960, 672), (1280, 896)],
)
def test_how_many_channels_are_kept(channels: int, kept: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, channels), nn.ReLU(), nn.Linear(channels, 3))
    pruning.apply("channels", model, 0.3, (1, 2, 2), round_to=1)
    assert (model[1].out_features, model[3].in_features) == (kept, kept)


def weakest(criterion: str) -> list[int]:
    """Which of three channels goes; what follows them weighs nothing."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    #                     sums of magnitudes 8, 6, 7; of squares 16, 36, 14.5
    rows = [[2.0, 2.0, 2.0, 2.0], [6.0, 0.0, 0.0, 0.0], [2.5, 1.5, 1.5, 1.5]]
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor(rows))
        model[2].weight.zero_()
    pruning.apply("channels", model, 0.3, (1, 2, 2), criterion=criterion, round_to=1)
    left = model[1].weight.tolist()
    return [channel for channel, row in enumerate(rows) if row not in left]


def test_the_criterion_decides_which_channels_go() -> None:
    """Hybrid: 8/7 + 16/22.2, 6/7 + 36/22.2, 7/7 + 14.5/22.2; the last is the smallest."""
    assert [weakest(criterion) for criterion in ("l1", "l2", "hybrid")] == [[1], [2], [2]]


@pytest.mark.parametrize(
    ("channels", "ratio", "kept"),
    [(16, 0.3, 16), (32, 0.3, 24), (64, 0.3, 48), (144, 0.3, 104), (20, 0.3, 16), (24, 0.1, 24)]
    + [(12, 0.3, 8), (8, 0.3, 8), (8, 0.5, 4), (10, 0.3, 8), (3, 0.5, 3), (5, 0.3, 4)],
)
def test_channels_are_rounded_up_to_multiples_of_8_and_few_to_those_of_4(
    channels: int, ratio: float, kept: int
) -> None:
    assert _rounding.kept(channels, ratio, 8) == kept
    assert _rounding.kept(channels, ratio, 1) == int(channels * (1 - ratio))


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.integers(1, 16), st.integers(1, 8), st.booleans())
def test_every_part_keeps_as_many_channels_and_at_least_one(
    size: int, ratio: float, round_to: int, parts: int, each: bool
) -> None:
    kept = _rounding.kept(size * parts, ratio, round_to, parts, each=each)
    assert 0 < kept <= size * parts and kept % parts == 0


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
    with pytest.raises(UserError, match="no kernel has a tap that meets only padding"):
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
    with pytest.raises(UserError, match="no kernel has a tap that meets only padding"):
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
