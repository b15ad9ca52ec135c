"""A network that computes in halves (float16, bfloat16) -> the same in float32, the origin of other precisions."""

from __future__ import annotations

from typing import Any


def in_float32(model: Any) -> bool:
    """Changed in place; returns whether there was anything to change. Inputs and outputs become float32 as well."""
    from onnx import TensorProto

    halves = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    changed = False
    for graph in _graphs(model.graph):
        for tensor in (*graph.initializer, *_attributes(graph)):
            if tensor.data_type in halves:
                _widen(tensor)
                changed = True
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i in halves:
                    attribute.i = TensorProto.FLOAT
                    changed = True
        for port in (*graph.input, *graph.output):
            if port.type.tensor_type.elem_type in halves:
                port.type.tensor_type.elem_type = TensorProto.FLOAT
                changed = True
        if changed:
            del graph.value_info[:]  # of the old types; the runtime infers them again
    return changed


def _widen(tensor: Any) -> None:
    import numpy as np
    from onnx import numpy_helper

    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _attributes(graph: Any) -> list[Any]:
    return [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]


def _graphs(graph: Any) -> list[Any]:
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [graph, *(one for part in inner for one in _graphs(part))]
