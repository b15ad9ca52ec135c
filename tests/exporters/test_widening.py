"""Channels of zeros in INT8 ONNX files: the same answers, and numbers of channels that fast kernels take."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebench.schema.bundle import TensorSpec
from exporters import Kernels, Scheme
from exporters import onnx as exporter
from exporters.onnx_edit import int8

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
from torch import nn  # noqa: E402


class Pruned(nn.Module):
    """Odd numbers of channels in a stem, a depthwise layer, a squeeze-and-excite branch, a residual sum, a head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 21, 3, padding=1)
        self.depthwise = nn.Conv2d(21, 21, 3, padding=1, groups=21, bias=False)
        self.squeeze = nn.Conv2d(21, 5, 1)
        self.excite = nn.Conv2d(5, 21, 1)
        self.left = nn.Conv2d(21, 37, 1)
        self.right = nn.Conv2d(37, 37, 3, padding=1)
        self.last = nn.Conv2d(37, 13, 1)
        self.head = nn.Linear(13, 10)

    def forward(self, images: Any) -> Any:
        maps = self.depthwise(self.stem(images).relu()).clamp(0, 6)
        maps = (
            maps * self.excite(nn.functional.silu(self.squeeze(nn.functional.adaptive_avg_pool2d(maps, 1)))).sigmoid()
        )
        maps = self.left(maps).relu()
        maps = nn.functional.max_pool2d(maps + self.right(maps), 2)
        return self.head(nn.functional.adaptive_avg_pool2d(self.last(maps), 1).flatten(1))


class Joined(nn.Module):
    """Two layers whose channels lie side by side: nothing may come between them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 21, 3), nn.Conv2d(3, 22, 3)
        self.last = nn.Conv2d(43, 10, 1)

    def forward(self, images: Any) -> Any:
        return self.last(torch.cat([self.left(images), self.right(images)], 1)).mean((2, 3))


class Shifted(nn.Module):
    """A constant for each channel is added to what a layer writes."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.last = nn.Conv2d(3, 21, 3), nn.Conv2d(21, 16, 3, padding=1)
        self.shift = nn.Parameter(torch.arange(21.0).reshape(1, 21, 1, 1))

    def forward(self, images: Any) -> Any:
        return nn.functional.adaptive_avg_pool2d(self.last(self.left(images).relu() + self.shift), 1).flatten(1)


def quantised(network: nn.Module, folder: Path, *, channels: int = 3, float_layers: int = 0, wide: bool = True) -> Path:
    torch.manual_seed(0)
    float32, prepared, out = (folder / f"{name}.onnx" for name in ("float32", "prepared", "int8"))
    with warnings.catch_warnings(action="ignore"):
        image = TensorSpec("input", (1, channels, 12, 12), "float32", "NCHW")
        logits = TensorSpec("logits", (1, 16), "float32", "NC")
        exporter._trace(network.eval(), (image,), (logits,), float32, dynamic_batch=False)
    int8.prepare(float32, prepared)
    seen = int8.observe(prepared, ((image,) for image in images(channels)))
    scheme = Scheme("minmax", int8.layers(prepared)[:float_layers], Kernels(x86=wide))
    int8.quantise(prepared, out, seen, scheme)
    exporter.make_loadable(out)
    onnx.checker.check_model(onnx.load(str(out)))
    return out


def images(channels: int) -> list[Any]:
    random = np.random.default_rng(0)
    return [random.standard_normal((1, channels, 12, 12)).astype(np.float32) for _ in range(3)]


def weights(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights that are bytes, by the first word of their names."""
    tensors = onnx.load(str(path)).graph.initializer
    return {
        tensor.name.partition(".")[0]: tuple(tensor.dims)
        for tensor in tensors
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    }


def test_the_answers_stay_the_same_to_the_bit(tmp_path: Path) -> None:
    network = Pruned(3)
    wide = exporter.open_artifact(quantised(network, tmp_path))
    (tmp_path / "as it was").mkdir()
    narrow = exporter.open_artifact(quantised(network, tmp_path / "as it was", wide=False))
    assert weights(tmp_path / "int8.onnx") != weights(tmp_path / "as it was" / "int8.onnx")
    for image in images(3):
        assert np.array_equal(wide.run([image])[0], narrow.run([image])[0])


def test_numbers_of_channels_become_round_ones(tmp_path: Path) -> None:
    assert weights(quantised(Pruned(3), tmp_path)) == {
        "stem": (32, 4, 3, 3),  # read by a depthwise layer: sixteens
        "depthwise": (32, 1, 3, 3),
        "squeeze": (16, 32, 1, 1),
        "excite": (32, 16, 1, 1),
        "left": (40, 32, 1, 1),
        "right": (40, 40, 3, 3),
        "last": (13, 40, 1, 1),  # a linear layer counts on it
    }


def test_a_grey_image_stays_grey(tmp_path: Path) -> None:
    assert weights(quantised(Pruned(1), tmp_path, channels=1))["stem"] == (32, 1, 3, 3)


def test_what_is_joined_keeps_its_channels(tmp_path: Path) -> None:
    found = weights(quantised(Joined(), tmp_path))
    assert (found["left"][0], found["right"][0], found["last"][1]) == (21, 22, 43)


def test_constants_for_each_channel_grow_with_them(tmp_path: Path) -> None:
    """They stand in front of zeros at the edge, which they must not reach: they become a layer of their own."""
    for name in ("wide", "plain"):
        (tmp_path / name).mkdir()
    network = Shifted()
    wide, plain = (quantised(network, tmp_path / name, wide=name == "wide") for name in ("wide", "plain"))
    assert (weights(wide)["left"][0], weights(wide)["last"][1]) == (32, 32)
    assert (weights(plain)["left"][0], weights(plain)["last"][1]) == (21, 21)
    for image in images(3):
        assert np.array_equal(*(exporter.open_artifact(path).run([image])[0] for path in (wide, plain)))


def test_float_layers_and_what_they_write_stay_as_they_are(tmp_path: Path) -> None:
    found = weights(quantised(Pruned(3), tmp_path, float_layers=1))
    assert found["depthwise"] == (21, 1, 3, 3)
    assert found["right"] == (40, 40, 3, 3)
