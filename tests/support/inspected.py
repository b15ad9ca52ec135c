"""Small networks made by hand, and what reads them in this process. It imports onnx: skip before importing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from edgebench.analysis import inspection_report as report
from edgebench.schema.inspection import Inspection, Layer, NetworkInFile
from exporters.inspect import counting, onnx_reader, tflite_reader
from tests.conftest import DATA

BUNDLE = DATA / "bundle"


def weight(name: str, *shape: int, zeros: int = 0) -> onnx.TensorProto:
    values = np.random.default_rng(0).uniform(0.1, 1, shape).astype(np.float32)
    values.reshape(-1)[:zeros] = 0
    return numpy_helper.from_array(values, name)


def port(name: str, *sizes: int | str, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, sizes)


def make(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[onnx.TensorProto],
    *,
    opset: int = 17,
    ir_version: int = 8,
    **options: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opsets = options.pop("opset_imports", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, **options)


def conv_net(batch: int | str = "n", *, prefix: str = "", **options: Any) -> onnx.ModelProto:
    """Two convolutions with a residual sum, an operator that no quantiser knows, and a classifier with softmax."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], f"{prefix}first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w2"], ["c"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "r"], ["s"], "sum"),
        helper.make_node("Softplus", ["s"], ["e"], "soft"),
        helper.make_node("GlobalAveragePool", ["e"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["z"], "head"),
        helper.make_node("Softmax", ["z"], ["y"], "prob"),
    ]
    weights = [weight("w1", 4, 3, 3, 3, zeros=5), weight("b1", 4), weight("w2", 4, 4, 3, 3)]
    weights += [weight("w3", 4, 5), weight("b3", 5)]
    return make(nodes, [port("x", batch, 3, 8, 8)], [port("y", batch, 5)], weights, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inspect")


@pytest.fixture(scope="module")
def network_file(folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(conv_net(), path)
    return path


def read_onnx(model: onnx.ModelProto | Path, folder: Path, shape: tuple[int, ...] = ()) -> NetworkInFile:
    path = model if isinstance(model, Path) else folder / "hand-made.onnx"
    if not isinstance(model, Path):
        onnx.save(model, path)
    return counting.network(onnx_reader.read(path, {"": shape} if shape else {}), onnx_reader.quantisable())


def read_tflite(path: Path) -> NetworkInFile:
    return counting.network(tflite_reader.read(path), tflite_reader.quantisable())


def by_name(network: NetworkInFile) -> dict[str, Layer]:
    return {layer.name: layer for layer in network.layers}


def on_terminal(found: Inspection) -> str:
    console = Console(width=80, highlight=False, color_system=None)
    with console.capture() as captured:
        report.show(found, console)
    return captured.get()
