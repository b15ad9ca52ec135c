from __future__ import annotations

import pytest

from edgebench import models
from edgebench.errors import UnknownName

torch = pytest.importorskip("torch")

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 20, 12)]


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("shape", SHAPES)
def test_every_model_keeps_the_contract(name: str, shape: models.InputShape) -> None:
    model = models.build(name, shape, 7)
    assert model(torch.zeros(2, *shape)).shape == (2, 7)
    size = models.count(model, shape)
    assert size.parameters == sum(p.numel() for p in model.parameters())
    assert size.macs > 0
    assert model.training, "counting must leave the network in the mode that it was in"


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"),
    [((1, 28, 28), 101_930, 342_464), ((3, 32, 32), 132_938, 742_016)],
)
def test_ultralight_is_the_network_of_the_study(shape: models.InputShape, parameters: int, macs: int) -> None:
    size = models.count(models.build("ultralight", shape, 10), shape)
    assert (size.parameters, size.macs, size.weights_bytes) == (parameters, macs, 4 * parameters)


def test_ultralight_has_no_activation_behind_the_depthwise_convolution() -> None:
    """A common reading of the study adds one; its operation count says there is none."""
    layers = [type(layer).__name__ for layer in models.build("ultralight", (1, 28, 28), 10)]
    assert layers == [
        "Conv2d", "ReLU6", "MaxPool2d", "Conv2d", "Conv2d", "ReLU6", "MaxPool2d", "Flatten", "Linear", "ReLU", "Linear",
    ]  # fmt: skip


def test_counting_knows_groups_strides_and_leaves_biases_out() -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, groups=2), nn.Flatten(), nn.Linear(8 * 4 * 2, 5))
    size = models.count(model, (4, 9, 5))  # 9x5 -> 4x2
    assert size.macs == 4 * 2 * 8 * (4 // 2) * 9 + 8 * 4 * 2 * 5
    assert size.parameters == 8 * 2 * 9 + 8 + 64 * 5 + 5


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'ultralight'"):
        models.build("ultra-light", (1, 28, 28), 10)
