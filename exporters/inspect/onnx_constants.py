"""The constants of an .onnx file, and which of them are weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebench.modelfile import is_beside
from exporters.inspect.graph import Weight, count_zeros
from exporters.inspect.onnx_file import graphs, nodes

# Inputs of integer operators that are weights, each with the inputs for its scale and zero point.
INTEGER_WEIGHTS: dict[str, tuple[tuple[int, int | None, int | None], ...]] = {
    "QLinearConv": ((3, 4, 5), (8, None, None)),
    "QLinearMatMul": ((3, 4, 5),),
    "QGemm": ((3, 4, 5), (6, None, None)),
    "ConvInteger": ((1, None, 3),),
    "MatMulInteger": ((1, None, 3),),
    "MatMulIntegerToFloat": ((1, 3, 5), (6, None, None)),
    "DynamicQuantizeMatMul": ((1, 2, 3), (4, None, None)),
}

QUANTISING = ("QuantizeLinear", "DequantizeLinear")
BETWEEN = (*QUANTISING, "Identity")
_FOLDED_ON_LOADING = ("Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True)
class Quantiser:
    """Names of the constants that scale another one; axis: along which axis, if there is more than one scale."""

    scale: str
    zero_point: str
    axis: int


def constants(model: Any) -> dict[str, Any]:
    """Every TensorProto by name: initialisers, and those of Constant nodes."""
    found: dict[str, Any] = {}
    for graph in graphs(model.graph):
        found |= {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.output:
                for attribute in node.attribute:
                    if attribute.HasField("t"):
                        found[node.output[0]] = attribute.t
                    elif attribute.name.startswith("value_"):
                        found[node.output[0]] = _as_tensor(attribute)
    return found


def first_names(model: Any, known: dict[str, Any]) -> dict[str, str]:
    """Name -> the first name of the same value: before quantise and dequantise nodes, or that of the stored constant.

    known: the constants.
    """
    first: dict[str, str] = {}
    for node, _ in nodes(model.graph):
        if node.input and node.output:
            root = first.get(node.input[0], node.input[0])
            if node.op_type in BETWEEN or (node.op_type in _FOLDED_ON_LOADING and root in known):
                first[node.output[0]] = root
    return first


def weights(model: Any, known: dict[str, Any], first: dict[str, str], folder: Path) -> dict[str, Weight]:
    """By first name: constants that are float or are dequantised; single numbers are not weights."""
    quantisers = dict(_quantisers(model, known, first))
    return {
        name: _weight(name, tensor, quantisers.get(name), known, folder)
        for name, tensor in known.items()
        if tensor.dims and (name in quantisers or "float" in dtype_of(tensor.data_type))
    }


def dtype_of(code: int) -> str:
    """ONNX type number -> numpy's name, in lower case."""
    import onnx

    if code not in onnx.TensorProto.DataType.values():
        return "unknown"
    name: str = onnx.TensorProto.DataType.Name(code).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def number(tensor: Any) -> float | None:
    """The value of a constant that holds one number; None for any other."""
    values = _values(tensor, None)
    return None if values is None or values.size != 1 else float(values.reshape(-1)[0])


def _quantisers(model: Any, known: dict[str, Any], first: dict[str, str]) -> Iterator[tuple[str, Quantiser]]:
    for node, _ in nodes(model.graph):
        if node.op_type == "DequantizeLinear":
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            places: Any = ((0, 1, 2),)
        else:
            axis, places = 0, INTEGER_WEIGHTS.get(node.op_type, ())
        for place, scale, zero_point in places:
            name = _input(node, place)
            root = first.get(name, name)
            if root in known:
                yield root, Quantiser(_input(node, scale), _input(node, zero_point), axis)


def _input(node: Any, place: int | None) -> str:
    return node.input[place] if place is not None and place < len(node.input) else ""


def _weight(name: str, tensor: Any, quantiser: Quantiser | None, known: dict[str, Any], folder: Path) -> Weight:
    scales = 0
    zero_point: Any = 0
    values = _values(tensor, folder)
    if quantiser is not None:
        scale = known.get(quantiser.scale)
        scales = 1
        for size in scale.dims if scale is not None else ():
            scales *= size
        if quantiser.zero_point in known:
            zero_point = _spread(_values(known[quantiser.zero_point], None), quantiser.axis, len(tensor.dims))
    zeros = None if values is None or zero_point is None else count_zeros(values, zero_point)
    return Weight(name, tuple(tensor.dims), dtype_of(tensor.data_type), scales, zeros)


def _values(tensor: Any, folder: Path | None) -> Any:
    """A numpy array; None if it is damaged, or in a file that cannot be read. folder: where such files may be."""
    from onnx import numpy_helper

    places = [entry.value for entry in tensor.external_data if entry.key == "location"]
    if places and (folder is None or not all(is_beside(folder / "model", place) for place in places)):
        return None
    try:
        return numpy_helper.to_array(tensor, str(folder or ""))
    except Exception:  # numpy and protobuf raise their own; the runtime says what is wrong with it
        return None


def _spread(zero_points: Any, axis: int, rank: int) -> Any:
    """Reshaped to broadcast against an array of that rank; a single number if all are equal."""
    if zero_points is None or zero_points.size == 0:
        return None
    if (zero_points == zero_points.reshape(-1)[0]).all():
        return zero_points.reshape(-1)[0]
    if zero_points.ndim != 1 or not -rank <= axis < rank:
        return None
    shape = [1] * rank
    shape[axis] = -1
    return zero_points.reshape(shape)


def _as_tensor(attribute: Any) -> Any:
    """The constant of a Constant node that holds numbers instead of a tensor."""
    import onnx
    from onnx import numpy_helper

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, float | int) or (isinstance(value, list) and value and isinstance(value[0], float | int)):
        import numpy as np

        return numpy_helper.from_array(np.asarray(value))
    return onnx.TensorProto(data_type=onnx.TensorProto.STRING)
