"""Batch norms that no convolution comes before: folded away for INT8 where that is exact, else a layer of their own."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.schema.tensors import relative_error
from exporters.arithmetic import affine
from exporters.onnx_edit import int8
from exporters.onnx_edit.affine import OnnxGraph

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

SHAPE = (4, 8, 8)


class Net(nn.Module):
    """change: what happens to an image of four channels, before it becomes ten logits."""

    def __init__(self, change: Callable[[nn.Module, Any], Any], channels: int = 4, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.change, self.head = change, nn.LazyLinear(10)
        self.eval()(torch.zeros(1, *SHAPE))
        self.lively()

    def forward(self, x: Any) -> Any:
        return self.head(self.change(self, x).flatten(1))

    def lively(self) -> None:
        """Statistics as after training: not zero and one, and some channels with a negative or a small gain."""
        random = torch.Generator().manual_seed(0)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                for tensor, low, high in (
                    (layer.running_mean, -1, 1),
                    (layer.running_var, 0.5, 4),
                    (layer.weight.data, -0.5, 2),
                    (layer.bias.data, -1, 1),
                ):
                    tensor.copy_(torch.rand(tensor.shape, generator=random) * (high - low) + low)
                layer.weight.data[0] = -0.5


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Whether folding is kind to a layer depends on its weights, and those on what ran before."""
    torch.manual_seed(0)


def norm(channels: int = 4) -> nn.Module:
    return nn.BatchNorm2d(channels)


def scaled(network: Any, x: Any) -> Any:
    return network.conv((x - network.mean) * network.gain / 3)


def with_numbers(**more: nn.Module) -> Net:
    class Numbers(Net):
        mean = torch.linspace(-1, 1, 4).view(4, 1, 1)
        gain = torch.linspace(0.5, 2, 4).view(1, 4, 1, 1)

    return Numbers(scaled, **more)


NETWORKS: dict[str, tuple[Callable[[], Net], str]] = {
    "in front of a convolution without padding": (
        lambda: Net(lambda n, x: n.conv(n.norm(x)), norm=norm(), conv=nn.Conv2d(4, 6, 3)),
        "1 into the layers around them",
    ),
    "in front of a grouped one": (
        lambda: Net(lambda n, x: n.conv(n.norm(x)), norm=norm(), conv=nn.Conv2d(4, 8, 3, groups=2, bias=False)),
        "1 into the layers around them",
    ),
    "in front of padding": (
        lambda: Net(lambda n, x: n.conv(n.norm(x)), norm=norm(), conv=nn.Conv2d(4, 6, 3, padding=1)),
        "1 as depthwise convolutions",
    ),
    "in front of two readers": (
        lambda: Net(
            lambda n, x: n.a(n.norm(x)) + n.b(n.norm(x)),
            norm=norm(),
            a=nn.Conv2d(4, 6, 1),
            b=nn.Conv2d(4, 6, 1, bias=False),
        ),
        "1 into the layers around them",
    ),
    "in front of one reader that takes it and one that does not": (
        lambda: Net(
            lambda n, x: n.a(n.norm(x)) + n.b(n.norm(x)),
            norm=norm(),
            a=nn.Conv2d(4, 6, 1),
            b=nn.Conv2d(4, 6, 3, padding=1),
        ),
        "1 as depthwise convolutions",
    ),
    "in front of an activation": (
        lambda: Net(lambda n, x: n.conv(n.norm(x).relu()), norm=norm(), conv=nn.Conv2d(4, 6, 3)),
        "1 as depthwise convolutions",
    ),
    "in front of pooling and flattening": (
        lambda: Net(lambda n, x: functional.avg_pool2d(n.norm(x), 2), norm=norm()),
        "1 into the layers around them",
    ),
    "in front of padded pooling that counts the zeros": (
        lambda: Net(lambda n, x: functional.avg_pool2d(n.norm(x), 3, 2, 1), norm=norm()),
        "1 as depthwise convolutions",
    ),
    "in front of maxima, which negative gains turn": (
        lambda: Net(lambda n, x: functional.max_pool2d(n.norm(x), 2), norm=norm()),
        "1 as depthwise convolutions",
    ),
    "behind a sum": (
        lambda: Net(lambda n, x: n.norm(n.conv(x) + x).relu(), conv=nn.Conv2d(4, 4, 3, padding=1), norm=norm()),
        "1 as depthwise convolutions",
    ),
    "behind a concatenation": (
        lambda: Net(lambda n, x: n.norm(torch.cat([n.conv(x), x], 1)).relu(), conv=nn.Conv2d(4, 4, 1), norm=norm(8)),
        "1 as depthwise convolutions",
    ),
    "behind a transposed convolution in groups": (
        lambda: Net(lambda n, x: n.norm(n.up(x)).relu(), up=nn.ConvTranspose2d(4, 6, 2, 2, groups=2), norm=norm(6)),
        "",
    ),
    "behind a linear layer": (
        lambda: Net(lambda n, x: n.norm(n.lin(x.flatten(1))).relu(), lin=nn.Linear(256, 12), norm=nn.BatchNorm1d(12)),
        "1 into the layers around them",
    ),
    "in front of a linear layer": (
        lambda: Net(lambda n, x: n.norm(n.lin(x.flatten(1)).relu()), lin=nn.Linear(256, 12), norm=nn.BatchNorm1d(12)),
        "1 into the layers around them",
    ),
    "two of them": (
        lambda: Net(lambda n, x: n.conv(n.b(n.a(x)).relu()), a=norm(), b=norm(), conv=nn.Conv2d(4, 6, 3)),
        "1 into one another, 1 as depthwise convolutions",
    ),
    "written by hand": (
        lambda: with_numbers(conv=nn.Conv2d(4, 6, 3)),
        "1 into the layers around them, 2 into one another",
    ),
    "written by hand, in front of padding": (
        lambda: with_numbers(conv=nn.Conv2d(4, 6, 3, padding=1)),
        "2 into one another, 1 as depthwise convolutions",
    ),
    "a number for all channels": (
        lambda: Net(lambda n, x: n.conv(x * 0.5), conv=nn.Conv2d(4, 6, 3)),
        "",
    ),
}


def onnx_file(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, *SHAPE),), str(path), dynamo=False, opset_version=17)
    return path


def error_of(answer: Callable[[np.ndarray], np.ndarray], network: nn.Module) -> float:
    images = np.random.default_rng(1).standard_normal((3, 1, *SHAPE), np.float32)
    wanted = np.concatenate([network(torch.from_numpy(image)).detach().numpy() for image in images])
    return relative_error(np.concatenate([answer(image) for image in images]), wanted)


@pytest.mark.parametrize("where", NETWORKS)
def test_what_became_of_it_and_that_the_answers_stay(where: str, tmp_path: Path) -> None:
    import onnx

    make, words = NETWORKS[where]
    network, prepared = make(), tmp_path / "prepared.onnx"
    told = int8.prepare(onnx_file(network, tmp_path / "net.onnx"), prepared)
    assert told.endswith(words) if words else told == ""
    kinds = Counter(node.op_type for node in onnx.load(prepared).graph.node)
    assert kinds["BatchNormalization"] == 0
    session = int8._session(str(prepared))
    name = session.get_inputs()[0].name
    assert error_of(lambda image: session.run(None, {name: image})[0], network) < 1e-5
    seen = int8.observe(prepared, [(RANDOM.standard_normal((1, *SHAPE)).astype(np.float32),) for _ in range(2)])
    assert all(len(histogram.lows) == 2 for histogram in seen.values())


def test_what_is_left_is_ranked_as_the_layers_are(tmp_path: Path) -> None:
    make, _ = NETWORKS["behind a concatenation"]
    prepared = tmp_path / "prepared.onnx"
    int8.prepare(onnx_file(make(), tmp_path / "net.onnx"), prepared)
    operators = int8.operators(prepared)
    assert [name.rpartition("/")[2] for name in operators] == ["Conv", "Concat", "BatchNormalization", "Gemm"]
    assert set(int8.layers(prepared)) < set(operators)


def test_channels_of_very_different_scales_stay_out_of_the_layer_behind(tmp_path: Path) -> None:
    """Pixels that are nearly always the same: the weights of all others would be left few of the layer's steps."""
    network = Net(lambda n, x: n.conv(n.norm(x)), norm=norm(), conv=nn.Conv2d(4, 6, 3))
    network.norm.running_var[0] = 1e-6
    prepared = tmp_path / "prepared.onnx"
    assert "1 as depthwise" in int8.prepare(onnx_file(network, tmp_path / "net.onnx"), prepared)
    with torch.no_grad():
        network.conv.weight[:, 0] *= 1e-3  # what the norm enlarges, they make small
    assert "1 into the layers" in int8.prepare(onnx_file(network, tmp_path / "net.onnx"), prepared)


def test_answers_that_change_keep_the_network_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, _ = NETWORKS["behind a concatenation"]
    monkeypatch.setattr(affine, "LARGEST_ERROR", -1.0)
    told = int8.prepare(onnx_file(make(), tmp_path / "net.onnx"), tmp_path / "prepared.onnx")
    assert told.startswith("not folded: outputs change by ")


def graph_of(nodes: list[Any], constants: dict[str, Any], shape: tuple[int, ...]) -> Any:
    from onnx import TensorProto, helper, numpy_helper, shape_inference

    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    held = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return shape_inference.infer_shapes(model)


RANDOM = np.random.default_rng(0)
C = {"c": RANDOM.random((4, 1, 1)) + 0.5}
ONE, ALL = C | {"w": RANDOM.random((2, 4, 1, 1))}, (1, *SHAPE)
GATHER = ("Conv", " w", {})
HAND_MADE: list[tuple[str, list[tuple[str, str, dict[str, Any]]], dict[str, Any], tuple[int, ...], list[str]]] = [
    ("a number minus it", [("Sub", "c x", {}), GATHER], ONE, ALL, ["Conv"]),
    ("divided by it", [("Div", "x c", {}), GATHER], ONE, ALL, ["Conv"]),
    ("it in a number", [("Div", "c x", {}), GATHER], ONE, ALL, ["Div", "Conv"]),
    ("only scaled, in front of padding", [("Mul", "x c", {}), ("Conv", " w", {"pads": [1, 1, 1, 1]})],
     C | {"w": RANDOM.random((2, 4, 3, 3))}, ALL, ["Conv"]),
    ("padding by name", [("Add", "x c", {}), ("Conv", " w", {"auto_pad": "SAME_UPPER"})],
     C | {"w": RANDOM.random((2, 4, 3, 3))}, ALL, ["Conv", "Conv"]),
    ("scaled, in front of a transposed one", [("Mul", "x c", {}), ("ConvTranspose", " w", {"group": 2})],
     C | {"w": RANDOM.random((4, 3, 2, 2))}, ALL, ["ConvTranspose"]),
    ("behind a product", [("MatMul", "x w", {}), ("Add", " c", {})],
     {"w": RANDOM.random((4, 6)), "c": RANDOM.random(6)}, (1, 4), ["Gemm"]),
    ("in front of a product", [("Add", "x c", {}), ("MatMul", " w", {})],
     {"w": RANDOM.random((4, 6)), "c": RANDOM.random(4)}, (1, 4), ["Gemm"]),
    ("a row of tokens", [("Mul", "x c", {}), ("MatMul", " w", {})],
     {"w": RANDOM.random((4, 6)), "c": RANDOM.random(4)}, (1, 4, 4), ["Mul", "MatMul"]),
    ("a number for each pixel", [("Mul", "x c", {}), ("Relu", "", {})],
     {"c": RANDOM.random((1, 1, 8))}, ALL, ["Mul", "Relu"]),
    ("what makes it larger", [("Mul", "x c", {}), ("Relu", "", {})],
     {"c": RANDOM.random((4, 1, 1))}, (1, 1, 8, 8), ["Mul", "Relu"]),
    ("the answer", [("Mul", "x c", {})], {"c": RANDOM.random((4, 1, 1))}, ALL, ["Conv"]),
    ("two vectors", [("Mul", "x c", {}), ("Add", " d", {}), ("Relu", "", {})],
     {"c": RANDOM.random(4), "d": RANDOM.random(4)}, (1, 4), ["Mul", "Add", "Relu"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "constants", "shape", "kinds"), [one[1:] for one in HAND_MADE], ids=[one[0] for one in HAND_MADE]
)
def test_graphs_that_others_write(
    nodes: list[tuple[str, str, dict[str, Any]]], constants: dict[str, Any], shape: tuple[int, ...], kinds: list[str]
) -> None:
    from onnx import helper

    made, given = [], "x"
    for number, (kind, names, attributes) in enumerate(nodes):
        inputs = [name or given for name in names.split(" ")] if names else [given]
        given = "y" if number == len(nodes) - 1 else f"t{number}"
        made.append(helper.make_node(kind, inputs, [given], name=f"n{number}", **attributes))
    model = graph_of(made, constants, shape)
    image = RANDOM.standard_normal(shape).astype(np.float32)
    before = int8._session(model.SerializeToString()).run(None, {"x": image})[0]
    graph = OnnxGraph(model.graph)
    affine.fold(graph)
    graph.drop_unread()
    assert [node.op_type for node in model.graph.node] == kinds
    after = int8._session(model.SerializeToString()).run(None, {"x": image})[0]
    assert after.shape == before.shape
    assert relative_error(after, before) < 1e-6
