"""What ai-edge-quantizer takes for granted about the constants of layers, made true; numbers stay as they are."""

from __future__ import annotations

import copy
from typing import Any

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D")
PRODUCTS = (*LAYERS, "BATCH_MATMUL")


def tidy(model: Any) -> bool:
    """Changed in place; returns whether anything was. model: of `flatbuffer`, with one graph.

    Biases have one axis: converters leave [1, 1, 1, n] where they fold a product into one, and scales for each channel
    are then read along the wrong axis. Each product has constants of its own: one matrix that two of them read along
    different axes can only have the scales of one.
    """
    graph, kinds = model.subgraphs[0], _kinds(model)
    changed = False
    for node in graph.operators:
        if kinds[node.opcodeIndex] in LAYERS and len(node.inputs) > 2:
            changed |= _flatten(model, graph, node, len(node.inputs) - 1)
    taken: set[int] = set()
    for node in graph.operators:
        if kinds[node.opcodeIndex] not in PRODUCTS:
            continue
        for place, number in enumerate(int(one) for one in node.inputs):
            if number < 0 or not _is_constant(model, graph.tensors[number]):
                continue
            if number in taken or _is_read_elsewhere(graph, number, node):
                node.inputs[place] = _copied(model, graph, number)
                changed = True
            taken.add(int(node.inputs[place]))
    return changed


def _flatten(model: Any, graph: Any, node: Any, place: int) -> bool:
    if node.inputs[place] < 0:
        return False
    bias = graph.tensors[node.inputs[place]]
    if bias.shape is None or len(bias.shape) < 2 or not _is_constant(model, bias):
        return False
    count = 1
    for size in bias.shape:
        count *= int(size)
    if count != max(bias.shape):
        return False
    node.inputs[place] = _copied(model, graph, int(node.inputs[place]))
    graph.tensors[node.inputs[place]].shape = [count]
    return True


def _is_constant(model: Any, tensor: Any) -> bool:
    return model.buffers[tensor.buffer].data is not None


def _is_read_elsewhere(graph: Any, number: int, node: Any) -> bool:
    return any(number in other.inputs for other in graph.operators if other is not node)


def _copied(model: Any, graph: Any, number: int) -> int:
    old = graph.tensors[number]
    new = copy.copy(old)
    new.name = old.name + f"/{len(graph.tensors)}".encode()
    model.buffers.append(copy.copy(model.buffers[old.buffer]))
    new.buffer = len(model.buffers) - 1
    graph.tensors.append(new)
    return len(graph.tensors) - 1


def _kinds(model: Any) -> list[str]:
    from ai_edge_litert import schema_py_generated as schema

    names = {code: kind for kind, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    return [names.get(code.builtinCode, "") for code in model.operatorCodes]
