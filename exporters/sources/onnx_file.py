"""What an .onnx file is that did not come from edgebench: its input, its size, and whether export can start from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

from edgebench import modelfile
from edgebench.errors import BadFile, UserError
from exporters import OpenedArtifact
from exporters.sources.model_summary import ModelSummary
from exporters.sources.onnx_training import refuse_training


def inspect(
    path: Path, open_artifact: Callable[[Path], OpenedArtifact], given: tuple[int, ...], sized: Path
) -> ModelSummary:
    """given: (channels, height, width) if the user gave it; sized: where to write a file with this size, if it is open.

    Raises UserError for what export cannot start from.
    """
    import onnx
    from onnx import numpy_helper

    where = str(path)
    opened = open_artifact(path)  # first: a damaged file fails, or crashes, here
    model = onnx.load(where)
    _refuse_others(where, opened, [node.op_type for node in model.graph.node])
    refuse_training(where, model)
    digest = _sha256(path)
    if _set_size(where, model, given):
        onnx.save(model, str(sized))
        opened = open_artifact(sized)
    inferred = _inferred(where, model)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes = _shapes(inferred)
    numbers = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    source = opened.inputs[0]
    return ModelSummary(
        input_shape=(source.shape[3], *source.shape[1:3]) if source.layout == "NHWC" else source.shape[1:],
        parameters=sum(prod(tensor.dims) for tensor in numbers),
        macs=sum(_macs(node, weights, shapes) for node in model.graph.node),
        zeros=sum(int((numpy_helper.to_array(tensor) == 0).sum()) for tensor in numbers),
        sha256=digest,
    )


def _refuse_others(where: str, opened: OpenedArtifact, kinds: list[str]) -> None:
    """Raises UserError for anything but a float32 image classifier."""
    if len(opened.inputs) != 1 or len(opened.outputs) != 1:
        raise UserError(
            where,
            f"it has {len(opened.inputs)} inputs and {len(opened.outputs)} outputs",
            "Export reads image classifiers: one input, one output",
        )
    source, sink = opened.inputs[0], opened.outputs[0]
    if source.shape and source.shape[0] != 1:
        raise UserError(
            where, f"its batch size is fixed at {source.shape[0]}", "Export it with a batch of 1, or an open one"
        )
    if source.dtype != "float32" or sink.dtype != "float32":
        raise UserError(
            where,
            f"its input is {source.dtype}, its output {sink.dtype}",
            "Start from the float32 file of this network",
        )
    if len(source.shape) not in (2, 4) or len(sink.shape) != 2:
        raise UserError(
            where,
            f"its input is {list(source.shape)} and its output {list(sink.shape)}",
            "Export reads image classifiers: [1, C, H, W] or [1, features] in, [1, classes] out",
        )
    quantised = [kind for kind in kinds if "QuantizeLinear" in kind or kind.startswith("QLinear")]
    if quantised:
        raise UserError(
            where, f"already quantised ({quantised[0]})", "Deploy it as it is: `edgebench deploy FILE.onnx`"
        )


def _sha256(path: Path) -> str:
    """Hash of the file, and of those that contain its weights."""
    model = modelfile.read(path)
    assert model is not None
    digest = hashlib.sha256()
    for part in (path, *(one.path for one in modelfile.companions(path, model))):
        with part.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest() if part != path else stream.read())
    return digest.hexdigest()


def _set_size(where: str, model: Any, given: tuple[int, ...]) -> bool:
    """Set the input to the given size where it is open. Returns whether anything was; the batch may stay open."""
    names = {tensor.name for tensor in model.graph.initializer}
    (port,) = (one for one in model.graph.input if one.name not in names)
    dims = list(port.type.tensor_type.shape.dim)
    sizes = [dim.dim_value or dim.dim_param or "?" for dim in dims]
    is_open = any(not dim.dim_value for dim in dims[1:])
    if not is_open and not given:
        return False
    shown = f"its input is [{', '.join(map(str, sizes))}]"
    if not given:
        raise UserError(where, f"{shown}: images of any size", "Choose one: --input 3x224x224")
    channels, height, width = given
    for wanted in ((channels, height, width), (height, width, channels)):
        if len(dims) == 4 and all(dim.dim_value in (0, size) for dim, size in zip(dims[1:], wanted, strict=True)):
            for dim, size in zip(dims[1:], wanted, strict=True):
                dim.dim_value = size
            return is_open
    raise UserError("--input", f"{'x'.join(map(str, given))} does not fit {where}: {shown}", "Leave --input out")


def _inferred(where: str, model: Any) -> Any:
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx raises its own types and pybind's
        raise BadFile(where, f"its shapes are inconsistent ({error})", "Export it again from its source") from error


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    values = [*model.graph.value_info, *model.graph.output, *model.graph.input]
    return {value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim) for value in values}


def _macs(node: Any, weights: dict[str, tuple[int, ...]], shapes: dict[str, tuple[int, ...]]) -> int:
    """MACs of convolutions and of products with a weight, for one image."""
    if len(node.input) < 2 or node.input[1] not in weights:
        return 0
    weight, answer = prod(weights[node.input[1]]), shapes.get(node.output[0], ())
    if node.op_type == "Conv":
        return weight * prod(answer[2:])
    if node.op_type == "Gemm":
        return weight
    if node.op_type == "MatMul":
        return weight * prod(answer[1:-1])
    return 0
