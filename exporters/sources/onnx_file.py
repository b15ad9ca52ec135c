"""What an .onnx file is that did not come from edgebench: its input, its size, and whether export can start from it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from edgebench import modelfile
from edgebench.errors import BadFile, UserError
from edgebench.schema.bundle import TensorSpec
from exporters import OpenedArtifact
from exporters.sources.model_summary import ModelSummary
from exporters.sources.onnx_training import refuse_training

DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
MOST_AXES = 5


def inspect(
    path: Path,
    open_artifact: Callable[[Path], OpenedArtifact],
    shapes: Mapping[str, tuple[int, ...]],
    sized: Path,
) -> ModelSummary:
    """shapes: of its inputs, if it leaves some open; sized: where to write a file with these sizes.

    Raises UserError for what export cannot start from.
    """
    import onnx
    from onnx import numpy_helper

    where = str(path)
    opened = open_artifact(path)  # first: a damaged file fails, or crashes, here
    model = onnx.load(where)
    _refuse_others(where, model)
    refuse_training(where, model)
    _refuse_batches(where, opened)
    digest = _sha256(path)
    if _set_sizes(model, shapes):
        onnx.save(model, str(sized))
        try:
            opened = open_artifact(sized)
        except Exception:  # a branch of an `If` that never runs may not fit; onnxruntime raises its own
            sized.unlink()
            model = onnx.load(where)
            opened = replace(opened, inputs=tuple(_fed(spec, shapes) for spec in opened.inputs))
    inferred = _inferred(where, model)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes = _shapes(inferred)
    numbers = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    return ModelSummary(
        inputs=opened.inputs,
        outputs=_outputs(opened),
        table_sizes=_table_sizes(model, weights, {spec.name for spec in opened.inputs}),
        parameters=sum(prod(tensor.dims) for tensor in numbers),
        macs=sum(_macs(node, weights, shapes) for node in model.graph.node),
        zeros=sum(int((numpy_helper.to_array(tensor) == 0).sum()) for tensor in numbers),
        precision=_precision(model),
        sha256=digest,
    )


def _precision(model: Any) -> str:
    from onnx import TensorProto

    held = Counter[int]()
    for tensor in model.graph.initializer:
        held[tensor.data_type] += prod(tensor.dims)
    names = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
    sizes = {name: held[kind] for kind, name in names.items() if held[kind] > held[TensorProto.FLOAT]}
    return max(sizes, key=sizes.__getitem__, default="fp32")


def _refuse_others(where: str, model: Any) -> None:
    """Raises UserError for inputs and outputs that are not arrays of numbers, and for a quantised network."""
    import onnx

    held = {tensor.name for tensor in model.graph.initializer}
    for kind, ports in (("input", model.graph.input), ("output", model.graph.output)):
        for port in (one for one in ports if one.name not in held):
            what = port.type.WhichOneof("value")
            if what != "tensor_type":
                seen = f"its {kind} '{port.name}' is a {str(what).removesuffix('_type')}, not an array of numbers"
                raise UserError(where, seen, "End the network before the operator that makes it")
            dtype = onnx.TensorProto.DataType.Name(port.type.tensor_type.elem_type).lower().replace("float", "float32")
            dtype = {"float3216": "float16", "double": "float64"}.get(dtype, dtype)
            if dtype not in DTYPES:
                seen = f"its {kind} '{port.name}' is {dtype}; export takes {', '.join(DTYPES)}"
                raise UserError(where, seen, "Deploy it as it is: `edgebench deploy FILE.onnx`")
            axes = len(port.type.tensor_type.shape.dim)
            if axes > MOST_AXES:
                seen = f"its {kind} '{port.name}' has {axes} axes; export takes up to {MOST_AXES}"
                raise UserError(where, seen, "Deploy it as it is: `edgebench deploy FILE.onnx`")
    quantised = [
        node.op_type for node in model.graph.node
        if "QuantizeLinear" in node.op_type or node.op_type.startswith("QLinear")
    ]  # fmt: skip
    if quantised:
        raise UserError(
            where, f"already quantised ({quantised[0]})", "Deploy it as it is: `edgebench deploy FILE.onnx`"
        )


def _refuse_batches(where: str, opened: OpenedArtifact) -> None:
    """Raises UserError for a network of images, or of features, that takes several at once and never one."""
    shape = opened.inputs[0].shape if len(opened.inputs) == 1 else ()
    if len(shape) in (2, 4) and shape[0] != 1 and not opened.inputs[0].is_whole:
        seen = f"its batch size is fixed at {shape[0]}"
        raise UserError(where, seen, "Export it with a batch of 1, or an open one")


def _fed(spec: TensorSpec, shapes: Mapping[str, tuple[int, ...]]) -> TensorSpec:
    return msgspec.structs.replace(spec, shape=shapes.get(spec.name, spec.shape))


def _outputs(opened: OpenedArtifact) -> tuple[TensorSpec, ...]:
    """With the sizes that they have when it runs: files leave many open that follow from the inputs'."""
    import numpy as np

    try:
        answers = opened.run([np.zeros(spec.shape, spec.dtype) for spec in opened.inputs])
    except Exception:  # onnxruntime raises its own; what cannot be run is refused when it is
        return opened.outputs
    pairs = zip(opened.outputs, answers, strict=True)
    return tuple(msgspec.structs.replace(spec, shape=tuple(answer.shape)) for spec, answer in pairs)


def _table_sizes(model: Any, weights: Mapping[str, tuple[int, ...]], inputs: set[str]) -> dict[str, int]:
    """The rows of tables that an input is looked up in (Gather), also after a cast or another shape."""
    follows = {name: name for name in inputs}
    sizes: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in ("Cast", "Unsqueeze", "Squeeze", "Reshape", "Identity", "Flatten") and node.input:
            if node.input[0] in follows:
                follows[node.output[0]] = follows[node.input[0]]
        elif node.op_type == "Gather" and node.input[1] in follows and weights.get(node.input[0]):
            axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
            name, rows = follows[node.input[1]], weights[node.input[0]][axis]
            sizes[name] = min(rows, sizes.get(name, rows))
    return sizes


def _sha256(path: Path) -> str:
    """Hash of the file, and of those that contain its weights."""
    model = modelfile.read(path)
    assert model is not None
    digest = hashlib.sha256()
    for part in (path, *(one.path for one in modelfile.companions(path, model))):
        with part.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest() if part != path else stream.read())
    return digest.hexdigest()


def _set_sizes(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Set the inputs to these sizes where they are open. Returns whether anything but the batch was.

    The batch may stay open. The names of sizes stand for the same sizes in outputs.
    """
    symbols: dict[str, int] = {}
    is_changed = False
    for port in (one for one in model.graph.input if one.name in shapes):
        dims = list(port.type.tensor_type.shape.dim)
        for axis, (dim, size) in enumerate(zip(dims, shapes[port.name], strict=True)):
            if dim.dim_value:
                continue
            if axis == 0 and size == 1 and len(dims) > 1:
                continue
            if dim.dim_param:
                symbols[dim.dim_param] = size
            dim.dim_value = size
            is_changed = True
    if is_changed:
        for port in (*model.graph.output, *model.graph.value_info):
            for dim in port.type.tensor_type.shape.dim:
                if dim.dim_param in symbols:
                    dim.dim_value = symbols[dim.dim_param]
    return is_changed


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
