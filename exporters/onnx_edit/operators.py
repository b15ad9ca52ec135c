"""Which operators of a float32 .onnx file may be INT8 or float by themselves, and which follow their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# They only move numbers: their outputs have the steps of their inputs, so they follow them, in bytes or in float.
MOVES = (
    *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "GatherElements"),
    *("Pad", "Identity", "Dropout"),
)
# They become the ends of their input's range, if nothing else reads that input.
BOUNDS = ("Relu", "Clip")


def known() -> list[str]:
    """Operators that onnxruntime's quantiser can write in INT8."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    # Normalisation has no integer kernel: eight bits would cost accuracy and gain nothing.
    return sorted({*QLinearOpsRegistry, *QDQRegistry} - {"BatchNormalization"})


def weighted(graph: Any) -> tuple[str, ...]:
    """Names of the nodes with weights, in execution order."""
    weights = {tensor.name for tensor in graph.initializer}
    never = always_float(graph)
    return tuple(
        node.name
        for node in graph.node
        if node.op_type in LAYERS and node.name not in never and any(name in weights for name in node.input)
    )


def always_float(graph: Any) -> tuple[str, ...]:
    """Names of grouped transposed convolutions.

    The quantiser computes scales for the channels of one group only, fewer than there are channels. onnxruntime has no
    integer kernel for any transposed convolution.
    """
    return tuple(node.name for node in graph.node if node.op_type == "ConvTranspose" and _groups(node) > 1)


def _groups(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "group"), 1)


def masking(graph: Any, masked: set[str]) -> tuple[str, ...]:
    """Names of the nodes that mask scores for a softmax, and of the softmax. masked: tensors with numbers far below.

    Eight bits have no room for such numbers beside the scores: what is masked would get weight, or all scores one step.
    """
    writers = {name: node for node in graph.node for name in node.output}
    found: dict[str, None] = {}
    for node in graph.node:
        waiting = [node] if node.op_type == "Softmax" and node.input[0] in masked else []
        while waiting:
            one = waiting.pop()
            found[one.name] = None
            waiting += [writers[name] for name in one.input if name in masked and name in writers]
    return tuple(found)


def rankable(graph: Any) -> tuple[str, ...]:
    """Names of the nodes that may each be INT8 or float by themselves, in execution order.

    graph: with the types of its tensors.
    """
    kinds, constants, never = set(known()), _constants(graph), always_float(graph)
    floats, readers = _float_tensors(graph), _readers(graph)
    inputs = {port.name for port in graph.input}

    def by_itself(node: Any) -> bool:
        if node.op_type in MOVES or node.name in never:
            return False
        read = _given(node, constants)
        bounds = node.op_type in BOUNDS and read and read[0] not in inputs and len(readers[read[0]]) == 1
        return not bounds

    return tuple(
        node.name
        for node in graph.node
        if node.op_type in kinds and any(name in floats for name in node.output) and by_itself(node)
    )


def float_nodes(graph: Any, float_layers: tuple[str, ...], *, exactly: tuple[str, ...] = ()) -> list[str]:
    """These layers, and the nodes between and after them that have no other inputs.

    exactly: nodes that do not follow: they are float only if they are in `float_layers`.
    """
    constants = _constants(graph)
    float_tensors: set[str] = set()
    nodes = []
    for node in graph.node:
        given = _given(node, constants)
        follows = bool(given) and all(name in float_tensors for name in given) and node.op_type not in LAYERS
        if node.op_type == "Constant":
            continue
        if (follows and node.name not in exactly) or node.name in float_layers:
            float_tensors.update(node.output)
            nodes.append(node.name)
    return nodes


def _given(node: Any, constants: set[str]) -> list[str]:
    return [name for name in node.input if name and name not in constants]


def _constants(graph: Any) -> set[str]:
    written = {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    return written | {tensor.name for tensor in graph.initializer}


def _readers(graph: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {port.name: [port] for port in graph.output}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _float_tensors(graph: Any) -> set[str]:
    """Float activations; also outputs of nodes whose type was not inferred, which are float."""
    from onnx import TensorProto

    typed = {value.name: value.type.tensor_type.elem_type for value in _values(graph)}
    unknown = {name for node in graph.node for name in node.output if not typed.get(name)}
    return {name for name, kind in typed.items() if kind == TensorProto.FLOAT} | unknown


def _values(graph: Any) -> Iterator[Any]:
    yield from graph.value_info
    yield from graph.output
