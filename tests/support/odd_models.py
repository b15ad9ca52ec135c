"""Small real files with something unusual, each made on demand."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx import helper as h

from device_agents.python.runtimes import litert

FLOAT = TensorProto.FLOAT
Port = tuple[str, int, Sequence[int | str | None] | None]


def onnx_file(
    path: Path, nodes: Sequence[Any], inputs: Sequence[Port], outputs: Sequence[Port], *, weights: Sequence[Any] = (),
    opset: int = 17, ir: int = 8, domains: Sequence[str] = (), metadata: dict[str, str] | None = None, **saving: Any,
) -> Path:  # fmt: skip
    graph = h.make_graph(
        nodes, "odd", [h.make_tensor_value_info(*one) for one in inputs],
        [h.make_tensor_value_info(*one) for one in outputs], list(weights),
    )  # fmt: skip
    opsets = [h.make_opsetid("", opset), *(h.make_opsetid(domain, 1) for domain in domains)]
    model = h.make_model(graph, opset_imports=opsets, ir_version=ir)
    h.set_model_props(model, metadata or {})
    onnx.save(model, str(path), **saving)
    return path


def identity(path: Path, shape: Sequence[int | str | None] | None, dtype: int = FLOAT, **more: Any) -> Path:
    return onnx_file(
        path, [h.make_node("Identity", ["x"], ["y"])], [("x", dtype, shape)], [("y", dtype, shape)], **more
    )


def custom(path: Path, operator: str = "Foo", domain: str = "com.acme") -> Path:
    node = h.make_node(operator, ["x"], ["y"], domain=domain)
    ports = [(name, FLOAT, [1, 4]) for name in ("x", "y")]
    return onnx_file(path, [node], ports[:1], ports[1:], domains=[domain] if domain else [])


def detector(path: Path, **more: Any) -> Path:
    """Takes images of any size."""
    weight = numpy_helper.from_array(np.full((4, 3, 3, 3), 0.1, "f4"), "w")
    node = h.make_node("Conv", ["image", "w"], ["map"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = [("image", FLOAT, ["batch", 3, "height", "width"])]
    return onnx_file(path, [node], inputs, [("map", FLOAT, ["batch", 4, None, None])], weights=[weight], **more)


def text_model(path: Path) -> Path:
    """Two inputs whose sizes have the same names."""
    ports: list[Port] = [(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]
    node = h.make_node("Mul", ["input_ids", "attention_mask"], ["y"])
    return onnx_file(path, [node], ports, [("y", TensorProto.INT64, ["batch", "sequence"])])


def nonzero(path: Path) -> Path:
    """How many answers there are depends on what is fed."""
    node = h.make_node("NonZero", ["x"], ["y"])
    return onnx_file(path, [node], [("x", FLOAT, [1, 8])], [("y", TensorProto.INT64, [2, None])])


def either(path: Path) -> Path:
    """A convolution of what an If makes, whose number of axes is open."""
    branches = {
        f"{name}_branch": h.make_graph(
            [h.make_node(kind, ["x", *more], [name])], name, [], [h.make_tensor_value_info(name, FLOAT, None)]
        )
        for name, kind, more in (("then", "Identity", []), ("else", "Unsqueeze", ["axes"]))
    }
    nodes = [
        h.make_node("If", ["c"], ["i"], **branches), h.make_node("Conv", ["i", "w"], ["y"]),
    ]  # fmt: skip
    weights = [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), "f4"), "w"),
        numpy_helper.from_array(np.array([0]), "axes"),
    ]
    fed = [("x", FLOAT, [1, 1, 4, 4]), ("c", TensorProto.BOOL, [1])]
    return onnx_file(path, nodes, fed, [("y", FLOAT, [1, 1, 4, 4])], weights=weights)


def outside(path: Path, location: str = "", value: float = 0.5) -> Path:
    """y = x * weights, and the weights are in another file."""
    weight = numpy_helper.from_array(np.full((1, 300), value, "f4"), "w")
    (path.parent / (location or path.name + ".data")).unlink(missing_ok=True)  # else it is appended to
    return onnx_file(
        path, [h.make_node("Mul", ["x", "w"], ["y"])], [("x", FLOAT, [1, 300])], [("y", FLOAT, [1, 300])],
        weights=[weight], save_as_external_data=True, location=location or path.name + ".data", size_threshold=0,
    )  # fmt: skip


def tflite_file(path: Path, change: Callable[[Any], None]) -> Path:
    """The tiny model, y = relu(x), with something changed in it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = base64.b64decode(litert.TINY_MODEL)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def with_operator(path: Path, *, custom: str = "", version: int = 1) -> Path:
    def change(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        code = model.operatorCodes[0]
        code.version = version
        if custom:
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode = custom.encode()

    return tflite_file(path, change)


def with_shape(path: Path, stored: Sequence[int], signature: Sequence[int]) -> Path:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.shape, tensor.shapeSignature = list(stored), list(signature)

    return tflite_file(path, change)


def with_dtype(path: Path, code: int) -> Path:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.type = code

    return tflite_file(path, change)


def with_signatures(path: Path, sizes: dict[str, int], *, named: bool = True) -> Path:
    """A graph, and if they are named a signature, for each {name: size of its one input}."""

    def change(model: Any) -> None:
        import copy

        from ai_edge_litert import schema_py_generated as schema

        (first,) = model.subgraphs
        model.subgraphs, model.signatureDefs = [], []
        for number, (name, size) in enumerate(sizes.items()):
            graph = copy.deepcopy(first)
            for tensor in graph.tensors:
                tensor.shape, tensor.shapeSignature = [1, size], []
            signature = schema.SignatureDefT()
            signature.signatureKey, signature.subgraphIndex = name.encode(), number
            signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
            ports = ((signature.inputs[0], b"x", graph.inputs[0]), (signature.outputs[0], b"y", graph.outputs[0]))
            for entry, key, index in ports:
                entry.name, entry.tensorIndex = key, int(index)
            model.subgraphs.append(graph)
            if named:
                model.signatureDefs.append(signature)

    return tflite_file(path, change)
