"""Preprocessing as the first operators of an .onnx file."""

from __future__ import annotations

from pathlib import Path

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters.arithmetic.folding import AS_OPERATORS, INPUT, coefficients


def fold(path: Path, out: Path, preprocessing: Preprocessing, spec: TensorSpec) -> str:
    """Insert Cast, Mul and Add before its input, in float32 whatever follows. Returns how it was done."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    (port,) = (one for one in graph.input if one.name == spec.name)
    names = [f"{INPUT}_{part}" for part in ("float", "scaled", "scale", "shift")]
    as_float, scaled, scale, shift = names
    for name, numbers in zip((scale, shift), coefficients(preprocessing, spec), strict=True):
        graph.initializer.append(numpy_helper.from_array(numbers, name))
    head = [
        helper.make_node("Cast", [INPUT], [as_float], name=as_float, to=TensorProto.FLOAT),
        helper.make_node("Mul", [as_float, scale], [scaled], name=scaled),
        helper.make_node("Add", [scaled, shift], [spec.name], name=f"{INPUT}_prepared"),
    ]
    nodes = [*head, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    port.name = INPUT
    port.type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, str(out))
    return AS_OPERATORS
