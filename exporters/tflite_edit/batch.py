"""A .tflite file for one image -> the same for any number of images at once.

Runtimes derive the sizes of most operators from the input, and resize on request. Only sizes stated explicitly have to
be changed: those declared for tensors, and the targets of reshaping.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporters.tflite_edit import flatbuffer

ANY = -1


def open_batch(path: Path, out: Path) -> None:
    """The caller must check that the answers stay the same."""
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer.read(path)
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        if model.buffers[tensor.buffer].data is None and tensor.shape is not None and len(tensor.shape):
            tensor.shapeSignature = [ANY, *map(int, tensor.shape[1:])]
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.RESHAPE:
            _open_reshape(model, graph, operator)
    flatbuffer.write(model, out)


def _open_reshape(model: Any, graph: Any, operator: Any) -> None:
    """Let the first size follow from the input, if it is that of one image and the others are given."""
    import numpy as np

    sizes = graph.tensors[operator.inputs[1]]
    held = model.buffers[sizes.buffer].data
    if held is None:
        return
    wanted = np.frombuffer(bytes(held), "<i4").copy()
    if len(wanted) == 0 or wanted[0] != 1 or (wanted[1:] < 0).any():
        return
    wanted[0] = ANY
    operator.inputs = [operator.inputs[0], _constant(model, graph, sizes, wanted)]
    if operator.builtinOptions is not None:
        operator.builtinOptions.newShape = wanted


def _constant(model: Any, graph: Any, like: Any, numbers: Any) -> int:
    """A new tensor: others may read the same bytes."""
    import copy

    import numpy as np

    buffer = copy.copy(model.buffers[like.buffer])
    buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = copy.copy(like)
    tensor.name, tensor.buffer = like.name + b"/any", len(model.buffers) - 1
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
