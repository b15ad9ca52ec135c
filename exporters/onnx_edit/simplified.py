"""An .onnx file for converters: sizes fixed, constants folded, in float32, without pools that pad with -inf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgebench.schema.bundle import TensorSpec
from exporters.onnx_edit.float32 import in_float32

NEVER_NEGATIVE = ("Relu", "Sigmoid", "Clip")


def write(source: Path, inputs: Sequence[TensorSpec], out: Path) -> tuple[TensorSpec, ...]:
    """inputs: with the sizes that are to be fixed. Returns them as the new file has them."""
    import onnx
    import onnxsim

    model = onnx.load(str(source))
    in_float32(model)
    try:
        model, _ = onnxsim.simplify(model, overwrite_input_shapes={spec.name: list(spec.shape) for spec in inputs})
    except Exception:  # of any kind: it leaves some graphs with branches out of order
        model = _folded_by_runtime(model, inputs, out)
    pad_before_pooling(model)
    onnx.save(model, str(out))
    return tuple(
        msgspec.structs.replace(spec, dtype="float32") if spec.dtype in ("float16", "bfloat16") else spec
        for spec in inputs
    )


def _folded_by_runtime(model: Any, inputs: Sequence[TensorSpec], out: Path) -> Any:
    """As onnxruntime would run it, without operators of its own."""
    import onnx
    import onnxruntime

    for port in model.graph.input:
        for spec in inputs:
            if spec.name == port.name:
                for size, number in zip(port.type.tensor_type.shape.dim, spec.shape, strict=True):
                    size.dim_value = number
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath, options.log_severity_level = str(out), 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(str(out))


def pad_before_pooling(model: Any) -> int:
    """Turn MaxPool(pads) after a layer that is never negative into Pad(0) + MaxPool, in place; returns how many.

    Converters pad with the lowest float, using an operator (PADV2) that XNNPACK does not support: the network would run
    in two parts. TensorFlow's own quantizer even derives a scale of 1e36 from it, which crashes LiteRT. After a layer
    whose outputs are >= 0, padding with zeros gives the same.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    graph = model.graph
    producers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    nodes = []
    turned = 0
    for node in graph.node:
        pads = next((a for a in node.attribute if a.name == "pads" and any(a.ints)), None)
        if node.op_type == "MaxPool" and pads and _never_negative(producers.get(node.input[0]), constants):
            padded, sizes, zero = (f"{node.output[0]}_{part}" for part in ("padded", "pads", "zero"))
            top, left, bottom, right = pads.ints
            sizes_of_all_axes = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            graph.initializer.append(numpy_helper.from_array(sizes_of_all_axes, sizes))
            graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), zero))
            nodes.append(helper.make_node("Pad", [node.input[0], sizes, zero], [padded], mode="constant"))
            node.input[0] = padded
            node.attribute.remove(pads)
            turned += 1
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return turned


def _never_negative(node: Any, constants: dict[str, Any]) -> bool:
    if node is None or node.op_type not in NEVER_NEGATIVE:
        return False
    if node.op_type != "Clip":
        return True
    lowest = constants.get(node.input[1]) if len(node.input) > 1 else None
    return lowest is not None and bool(lowest >= 0)
