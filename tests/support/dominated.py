"""Three products of matrices of which the middle one takes most of the time, as a file of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROWS, NARROW, WIDE = 64, 32, 1024
SIZES = {"first": (NARROW, WIDE), "large": (WIDE, WIDE), "last": (WIDE, NARROW)}


def onnx_file(path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, given = [], [], "x"
    for name, sizes in SIZES.items():
        weights.append(numpy_helper.from_array(np.full(sizes, 0.01, "f4"), f"{name}.weight"))
        made = "y" if name == "last" else f"/net/net.{name}/MatMul_output_0"
        nodes.append(helper.make_node("MatMul", [given, f"{name}.weight"], [made], f"/net/net.{name}/MatMul"))
        given = made
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [ROWS, NARROW]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def branching_onnx_file(path: Path) -> Path:
    """Which of two products is computed depends on the input's mean: a node If, with a graph for each."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def info(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [NARROW, NARROW])

    def branch(name: str) -> Any:
        nodes = [helper.make_node("MatMul", ["x", "w"], [f"{name}0"]), helper.make_node("Exp", [f"{name}0"], [name])]
        return helper.make_graph(nodes, name, [], [info(name)])

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=branch("then"), else_branch=branch("else")),
    ]
    weights = [numpy_helper.from_array(np.full((NARROW, NARROW), 0.01, "f4"), "w")]
    weights.append(numpy_helper.from_array(np.zeros((), "f4"), "zero"))
    graph = helper.make_graph(nodes, "g", [info("x")], [info("y")], weights)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def tflite_file(path: Path) -> Path:
    import flatbuffers  # type: ignore[import-untyped]
    from ai_edge_litert import schema_py_generated as schema

    graph, model, code = schema.SubGraphT(), schema.ModelT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model.buffers = [schema.BufferT()]

    def tensor(name: str, shape: tuple[int, int], content: Any = None) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), schema.TensorType.FLOAT32
        if content is not None:
            stored = schema.BufferT()
            stored.data = np.frombuffer(content.tobytes(), "u1")
            model.buffers.append(stored)
            made.buffer = len(model.buffers) - 1
        return made

    graph.tensors, graph.operators = [tensor("x", (ROWS, NARROW))], []
    for name, (rows, columns) in SIZES.items():
        scope = f"made.up.Network/torch.nn.modules.container.Sequential_net/torch.nn.modules.linear.Linear_{name};"
        graph.tensors.append(tensor(f"{name}.weight", (columns, rows), np.full((columns, rows), 0.01, "<f4")))
        graph.tensors.append(tensor("y" if name == "last" else scope, (ROWS, columns)))
        operator = schema.OperatorT()
        place = len(graph.tensors)
        operator.inputs, operator.outputs = [place - 3 if place > 3 else 0, place - 2, -1], [place - 1]
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        graph.operators.append(operator)
    graph.inputs, graph.outputs, graph.name = [0], [len(graph.tensors) - 1], "main"
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    builder = flatbuffers.Builder(1 << 23)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(builder.Output())
    return path


def torch_file(path: Path) -> Path:
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential()
            for name, sizes in SIZES.items():
                self.net.add_module(name, torch.nn.Linear(*sizes, bias=False))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.net(x)
            return answer

    torch.export.save(torch.export.export(Network().eval(), (torch.zeros(ROWS, NARROW),)), path)
    return path


def ncnn_file(path: Path) -> Path:
    """A row of NARROW numbers at a time, ROWS of them."""
    lines, given, weights = ["7767517", "4 4", f"Input x 0 1 x 0={NARROW} 1={ROWS}"], "x", b""
    for name, (rows, columns) in SIZES.items():
        made = "y" if name == "last" else name
        lines.append(f"InnerProduct {name} 1 1 {given} {made} 0={columns} 1=0 2={rows * columns}")
        weights += bytes(4) + np.full((columns, rows), 0.01, "<f4").tobytes()
        given = made
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".bin").write_bytes(weights)
    return path
