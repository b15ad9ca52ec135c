from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgebench.errors import UnknownName
from edgebench.networks import models, pruning
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint, Metadata, Metrics
from edgebench.schema.history import Size
from edgebench.schema.preprocessing import Preprocessing

torch = pytest.importorskip("torch")

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 20, 12)]
GREY, COLOUR, PHOTO = (1, 28, 28), (3, 32, 32), (3, 224, 224)
# The networks that take a part of a second to draw weights for.
LARGE = {"efficientnet-b0", "efficientnet-b4", "mlp-medium", "mobilenetv2", "resnet18", "resnet18-cifar", "vgg16"}
SMALL = [name for name in models.names() if name not in LARGE]

# The exact sizes of the source studies' networks (parameters; MACs of convolutions and linear layers).
STUDIES = [
    ("ultralight", GREY, 10, {}, 101_930, 342_464),
    ("ultralight", COLOUR, 10, {}, 132_938, 742_016),
    ("ultralight-gap", GREY, 10, {}, 13_898, 1_515_968),
    ("ultralight-gap", COLOUR, 10, {}, 14_186, 2_274_560),
    ("ultralight-gap", GREY, 10, {"widths": (32, 64, 128, 256)}, 49_290, 5_440_384),
    ("ultralight-gap", COLOUR, 10, {"widths": (32, 64, 128, 256)}, 49_866, 7_694_848),
    ("mlp-small", GREY, 10, {}, 13_002, 12_960),
    ("mlp-small", GREY, 62, {}, 13_886, 13_792),
    ("mlp-small", GREY, 47, {}, 13_631, 13_552),
    ("mlp-small", GREY, 4, {}, 12_900, 12_864),
    ("mlp-small", COLOUR, 10, {}, 49_610, 49_568),
    ("mlp-medium", GREY, 10, {}, 11_185_010, 11_176_000),
    ("mlp-medium", GREY, 62, {}, 11_393_062, 11_384_000),
    ("mlp-medium", GREY, 4, {}, 11_161_004, 11_152_000),
    ("mlp-medium", COLOUR, 10, {}, 20_337_010, 20_328_000),
    ("vgg16", COLOUR, 10, {}, 15_245_130, 313_725_952),
    ("vgg16", (1, 32, 32), 62, {}, 15_270_654, 312_572_928),
    ("vgg16", (1, 32, 32), 4, {}, 15_240_900, 312_543_232),
    ("resnet18", GREY, 10, {}, 11_175_370, 33_010_944),
    ("resnet18", COLOUR, 10, {}, 11_181_642, 37_016_576),
    ("resnet18", COLOUR, 100, {}, 11_227_812, 37_062_656),
    ("resnet18-cifar", COLOUR, 100, {}, 11_220_132, 555_468_800),
    ("mobilenetv2", GREY, 10, {}, 2_236_106, 5_597_552),
    ("mobilenetv2", COLOUR, 10, {}, 2_236_682, 6_124_928),
    ("efficientnet-b0", PHOTO, 100, {}, 4_135_648, 384_662_752),
    ("efficientnet-b4", PHOTO, 100, {}, 17_727_916, 1_502_097_632),
    ("dual-cnn", COLOUR, 10, {"branches": 1}, 167_358, 902_400),
    ("dual-cnn", COLOUR, 10, {}, 334_706, 1_804_800),
    ("res-se", COLOUR, 10, {}, 83_344, 7_792_512),
    ("res-se-30k", COLOUR, 10, {}, 29_869, 3_836_720),
    ("res-se-30k", COLOUR, 10, {"hidden": 0}, 27_437, 3_834_352),
    ("res-dws-20k", COLOUR, 10, {}, 14_240, 1_658_112),
    ("res-dws-20k", COLOUR, 10, {"hidden": 128}, 23_200, 1_666_944),
]


def about(name: str, shape: models.InputShape, size: Size) -> Metadata:
    return Metadata(
        model=name,
        dataset="made-up",
        input_shape=shape,
        class_names=tuple("abcde"),
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3),
        size=size,
        metrics=Metrics(accuracy=0.2, loss=1.6, test_images=1),
    )


def on_meta(name: str, shape: models.InputShape, classes: int, **arguments: object) -> Any:
    """A network without memory: shapes only."""
    with torch.device("meta"):
        return models.build(name, shape, classes, **arguments)


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("shape", SHAPES)
def test_every_model_keeps_the_contract(name: str, shape: models.InputShape) -> None:
    large = name in LARGE
    model = on_meta(name, shape, 7) if large else models.build(name, shape, 7)
    assert model(torch.zeros(2, *shape, device="meta" if large else None)).shape == (2, 7)
    size = models.count(model, shape)
    assert size.parameters == sum(p.numel() for p in model.parameters())
    assert size.macs > 0
    assert model.training, "counting must leave the network in the mode that it was in"


@pytest.mark.parametrize("name", ["mlp-medium", "resnet18-cifar", "vgg16"])  # not torchvision's as they come
def test_large_models_give_numbers(name: str) -> None:
    torch.manual_seed(0)
    logits = models.build(name, COLOUR, 3).eval()(torch.rand(1, *COLOUR))
    assert logits.shape == (1, 3) and torch.isfinite(logits).all()


@pytest.mark.parametrize(("name", "shape", "classes", "arguments", "parameters", "macs"), STUDIES)
def test_networks_are_those_of_the_studies(
    name: str, shape: models.InputShape, classes: int, arguments: dict[str, Any], parameters: int, macs: int
) -> None:
    size = models.describe(name, shape, classes, **arguments)
    assert (size.parameters, size.macs) == (parameters, macs)
    assert size.weights_bytes >= 4 * parameters  # and the normalisations' statistics


def test_every_network_has_its_size_in_the_table() -> None:
    assert {name for name, *_ in STUDIES} == set(models.names())


def test_parameters_are_weights_bytes_without_normalisation() -> None:
    assert models.describe("ultralight", GREY, 10).weights_bytes == 4 * 101_930
    # 576 statistics of four bytes in six normalisations, each with one eight-byte counter.
    assert models.describe("res-se", COLOUR, 10).weights_bytes == 4 * 83_920 + 6 * 8


@pytest.mark.parametrize("name", models.names())
def test_macs_agree_with_the_counter_of_torch(name: str) -> None:
    """Which counts 2 FLOPs per MAC, operators instead of layers."""
    from torch.utils.flop_counter import FlopCounterMode

    model = on_meta(name, COLOUR, 10).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *COLOUR, device="meta"))
    assert counter.get_total_flops() == 2 * models.count(model, COLOUR).macs


class CalledRelu(torch.nn.Module):
    """ReLU as a function in a forward method."""

    def forward(self, values):
        return torch.nn.functional.relu(values)


@pytest.mark.parametrize(
    ("name", "shape", "macs", "printed", "unit"),
    [
        ("ultralight", GREY, 421_002, 421.0, 1e3),
        ("ultralight", COLOUR, 844_554, 844.55, 1e3),
        ("mobilenetv2", GREY, 5_940_106, 5.94, 1e6),
        ("mobilenetv2", COLOUR, 6_523_402, 6.52, 1e6),
        ("resnet18", GREY, 33_201_930, 33.2, 1e6),
        ("resnet18", COLOUR, 37_245_962, 37.25, 1e6),
    ],
)
def test_the_rule_of_ptflops_gives_what_the_study_prints(
    name: str, shape: models.InputShape, macs: int, printed: float, unit: float
) -> None:
    model = on_meta(name, shape, 10)
    if name == "ultralight":  # ptflops counts the layer twice, the function once, and the study's digits say once
        model.act3 = CalledRelu()
    counted = models.ptflops_macs(model, shape)
    assert counted == macs
    assert round(counted / unit, 2) == printed


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("dual-cnn", 1_959_178),
        ("efficientnet-b0", 8_981_954),
        ("mlp-small", 49_674),
        ("res-dws-20k", 1_949_052),
        ("res-se", 8_083_836),
        ("resnet18-cifar", 557_782_026),
        ("ultralight", 844_618),
        ("ultralight-gap", 2_696_458),
        ("vgg16", 314_808_330),
    ],
)
def test_the_rule_of_ptflops_is_that_of_the_tool(name: str, macs: int) -> None:
    """Numbers of ptflops 0.7.5 for these networks at 3x32x32."""
    assert models.ptflops_macs(on_meta(name, COLOUR, 10), COLOUR) == macs


def test_counting_leaves_every_layer_in_its_mode() -> None:
    model = models.build("res-se", COLOUR, 10)
    frozen = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for module in frozen:
        module.eval()
    models.count(model, COLOUR)
    assert model.training and not any(module.training for module in frozen)


@pytest.mark.parametrize("name", SMALL)
def test_checkpoints_bring_networks_back(name: str, tmp_path: Path) -> None:
    """Trained for a moment, so that the normalisations' statistics are not the initial ones; then pruned."""
    torch.manual_seed(0)
    shape = (3, 16, 12)
    model = models.build(name, shape, 5)
    image = torch.rand(4, *shape)
    model(image)
    for ratio in (0, 0.3):
        if ratio:
            pruning.apply("channels", model, ratio, shape, round_to=1)
        size = models.count(model, shape)
        made = checkpoint.save(model, about(name, shape, size), tmp_path / f"{name}-{ratio}.safetensors")
        rebuilt = rebuild(checkpoint.load(made.path))
        with torch.no_grad():
            assert torch.equal(rebuilt(image), model.eval()(image))
        assert models.count(rebuilt, shape) == size
    assert size.macs < models.describe(name, shape, 5).macs


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "macs"),
    [
        ("resnet18", GREY, 5_460_834, 16_088_608),
        ("mobilenetv2", COLOUR, 1_116_172, 3_090_863),
    ],
)
def test_without_a_third_of_the_channels(name: str, shape: models.InputShape, parameters: int, macs: int) -> None:
    """What the UltraLight study would have had, had it removed its 30 %."""
    model = models.build(name, shape, 10)
    pruning.apply("channels", model, 0.3, shape, round_to=1)
    size = models.count(model, shape)
    assert (size.parameters, size.macs) == (parameters, macs)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_large_networks_are_rebuilt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what rebuilds checkpoints, from tensors without memory instead of a file of up to 80 MB."""
    model = on_meta(name, COLOUR, 5)
    size = models.count(model, COLOUR)
    monkeypatch.setattr(Checkpoint, "tensors", lambda _: model.state_dict())
    rebuilt = rebuild(Checkpoint(Path("large.safetensors"), "0" * 64, about(name, COLOUR, size)))
    assert models.count(rebuilt, COLOUR) == size
    assert [(n, t.shape) for n, t in rebuilt.state_dict().items()] == [
        (n, t.shape) for n, t in model.state_dict().items()
    ]


def test_a_single_network_fits_either_place_of_the_dual_one() -> None:
    single, dual = models.build("dual-cnn", COLOUR, 10, branches=1), models.build("dual-cnn", COLOUR, 10)
    for branch in dual.branches:
        branch.load_state_dict(single.branches[0].state_dict())
    image = torch.rand(2, *COLOUR)
    assert torch.equal(dual.eval().branches[1](image), single.eval().branches[0](image))


def test_the_head_of_vgg16_has_no_unused_modules() -> None:
    model = on_meta("vgg16", COLOUR, 10)
    used = set()
    for module in model.modules():
        module.register_forward_hook(lambda layer, *_: used.add(layer))
    model(torch.zeros(2, *COLOUR, device="meta"))
    assert {m for m in model.modules() if any(True for _ in m.parameters())} <= used


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
