"""What an .onnx file of someone else is: its one input, its size, and whether export can start from it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from edgebench.errors import BadFile, UserError
from exporters import Opened


class OnnxFacts(msgspec.Struct, frozen=True):
    """input_shape: (channels, height, width), or (features,). macs: as `models.Size` counts them."""

    input_shape: tuple[int, ...]
    parameters: int
    macs: int
    sha256: str


def inspect(path: Path, opened: Opened) -> OnnxFacts:
    """opened: the file, already loaded in its runtime. Raises UserError for what export cannot start from."""
    import onnx
    from onnx import shape_inference

    where = str(path)
    if len(opened.inputs) != 1 or len(opened.outputs) != 1:
        raise UserError(
            where,
            f"it has {len(opened.inputs)} inputs and {len(opened.outputs)} outputs",
            "Export reads image classifiers: one input, one output",
        )
    source, sink = opened.inputs[0], opened.outputs[0]
    if source.dtype != "float32" or sink.dtype != "float32":
        raise UserError(
            where, f"it takes {source.dtype} and answers {sink.dtype}", "Start from the float32 file of this network"
        )
    if len(source.shape) not in (2, 4) or len(sink.shape) != 2:
        raise UserError(
            where,
            f"its input is {list(source.shape)} and its output {list(sink.shape)}",
            "Export reads image classifiers: [1, C, H, W] or [1, features] in, [1, classes] out",
        )
    model = onnx.load(where)
    kinds = [node.op_type for node in model.graph.node]
    quantised = [kind for kind in kinds if "QuantizeLinear" in kind or kind.startswith("QLinear")]
    if quantised:
        raise UserError(
            where, f"it is quantised already ({quantised[0]})", "Deploy it as it is: `edgebench deploy FILE.onnx`"
        )
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx raises its own and pybind's types
        raise BadFile(where, f"the shapes in it do not fit ({error})", "Export it again from its source") from error
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shape = source.shape[1:]
    if source.layout == "NHWC":
        shape = (source.shape[3], source.shape[1], source.shape[2])
    shapes = _shapes(inferred)
    numbers = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    return OnnxFacts(
        input_shape=shape,
        parameters=sum(_product(tensor.dims) for tensor in numbers),
        macs=sum(_macs(node, weights, shapes) for node in model.graph.node),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    values = [*model.graph.value_info, *model.graph.output, *model.graph.input]
    return {value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim) for value in values}


def _macs(node: Any, weights: dict[str, tuple[int, ...]], shapes: dict[str, tuple[int, ...]]) -> int:
    """Convolutions and products with a weight, one image."""
    if len(node.input) < 2 or node.input[1] not in weights:
        return 0
    weight, answer = _product(weights[node.input[1]]), shapes.get(node.output[0], ())
    if node.op_type == "Conv":
        return weight * _product(answer[2:])
    if node.op_type == "Gemm":
        return weight
    if node.op_type == "MatMul":
        return weight * _product(answer[1:-1])
    return 0


def _product(sizes: Any) -> int:
    result = 1
    for size in sizes:
        result *= int(size)
    return result
