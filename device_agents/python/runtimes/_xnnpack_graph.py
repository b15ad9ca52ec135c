"""The network that a .pte file hands to XNNPACK, a flatbuffer, read without its weights: kinds and types of layers."""

from __future__ import annotations

import struct

from ._flatbuffer import DAMAGE, Flatbuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# In the order of its schema's union, which grows at the end.
_KINDS = (
    "", "Add", "FullyConnected", "Softmax", "Sigmoid", "Transpose", "Clamp", "Conv2d", "Divide", "ResizeBilinear2d",
    "ConstantPad", "AvgPooling2d", "Minimum", "DepthwiseConv2d", "MaxPooling2d", "Multiply", "Subtract", "Floor",
    "Convert", "GlobalAvgPooling2d", "Reshape", "ArgMaxPooling2d", "SquareRoot", "Ceiling", "Hardswish", "LeakyReLU",
    "Maximum", "Negate", "Square", "ELU", "Abs", "PReLU", "Concatenate2", "Concatenate3", "Concatenate4", "Slice",
    "ScaledDotProductAttention", "BatchMatrixMultiply", "Concatenate5", "ConvTranspose2d", "ReciprocalSquareRoot",
    "Log", "Gelu", "Tanh", "Exp", "Sin", "Copy", "Cos",
)  # fmt: skip
# Where a layer names its output, and its input and weights if it has any.
_OUTPUT = {
    **dict.fromkeys(("Add", "Divide", "Minimum", "Multiply", "Subtract", "Maximum", "PReLU", "LeakyReLU", "ELU"), 2),
    **dict.fromkeys(("Transpose", "Reshape", "ResizeBilinear2d", "FullyConnected"), 3),
    **dict.fromkeys(("Slice", "ConstantPad"), 4), "ScaledDotProductAttention": 5, "ArgMaxPooling2d": 7,
    **dict.fromkeys(("Concatenate2", "Concatenate3", "Concatenate4", "Concatenate5"), 5), "BatchMatrixMultiply": 2,
    **dict.fromkeys(("AvgPooling2d", "MaxPooling2d"), 11),
    **dict.fromkeys(("Conv2d", "DepthwiseConv2d", "ConvTranspose2d"), 18),
}  # fmt: skip
_OUTPUT_OF_OTHERS = 1
_WEIGHTS = {
    "FullyConnected": (0, 1), "Conv2d": (15, 16), "DepthwiseConv2d": (15, 16), "ConvTranspose2d": (15, 16),
    "BatchMatrixMultiply": (0, 1),
}  # fmt: skip
_DTYPES = {
    1: "f32", 2: "f16", 3: "i8", 4: "u8", 5: "i32", 6: "i8", 7: "i32", 8: "i4", 9: "i8", 10: "i4", 11: "i8", 12: "i32",
    13: "f32", 14: "bf16",
}  # fmt: skip
_QUANTISED, _ID, _BY_CHANNEL = 2, 6, 1
_HEADER = b"XH00"


class XnnpackTensor:
    """scales: how many it is quantised with."""

    def __init__(self, dtype: str, shape: list[int], scales: int = 0) -> None:
        self.dtype = dtype
        self.shape = shape
        self.scales = scales


class XnnpackLayer:
    """weights: None for layers without; precision: of the arithmetic of those with weights, else ""."""

    def __init__(self, kind: str, output: XnnpackTensor, weights: XnnpackTensor | None, precision: str) -> None:
        self.kind = kind
        self.output = output
        self.weights = weights
        self.precision = precision


def layers(payload: bytes) -> list[XnnpackLayer]:
    """Raises ValueError for what is no such network."""
    try:
        at = struct.unpack_from("<I", payload, 10)[0] if payload[4:8] == _HEADER else 0
        if payload[at + 4 : at + 6] != b"XN":
            raise ValueError("not a network of XNNPACK")
        file = Flatbuffer(payload[at:])
        graph = file.root()
        tensors = dict(_tensors(file, graph))
        return [_layer(file, node, tensors) for node in file.tables(graph, 1)]
    except DAMAGE:
        raise ValueError("not a network of XNNPACK, or truncated") from None


def _tensors(file: Flatbuffer, graph: int) -> Iterator[tuple[int, XnnpackTensor]]:
    for value in file.tables(graph, 2):
        tensor, scales = file.table(value, 1), 0
        if file.number(value, 0, "<B") == _QUANTISED:
            tensor, scales = file.table(tensor, 0), _scales(file, tensor)
        dtype = _DTYPES.get(file.number(tensor, 0, "<h"), "unknown")
        yield file.number(tensor, _ID, "<I"), XnnpackTensor(dtype, file.numbers(tensor, 2), scales)


def _scales(file: Flatbuffer, quantised: int) -> int:
    how = file.table(quantised, 2)
    if file.number(quantised, 1, "<B") != _BY_CHANNEL:
        return 1
    return len(file.numbers(how, 0)) or file.number(how, 3, "<I")


def _layer(file: Flatbuffer, node: int, tensors: dict[int, XnnpackTensor]) -> XnnpackLayer:
    number, about = file.number(node, 0, "<B"), file.table(node, 1)
    kind = _KINDS[number] if number < len(_KINDS) else "kind %d" % number

    def named(field: int) -> XnnpackTensor:
        return tensors.get(file.number(about, field, "<I")) or XnnpackTensor("unknown", [])

    output = named(_OUTPUT.get(kind, _OUTPUT_OF_OTHERS))
    if kind not in _WEIGHTS:
        return XnnpackLayer(kind, output, None, "")
    given, weights = map(named, _WEIGHTS[kind])
    # Float inputs and weights of whole numbers are multiplied in float.
    return XnnpackLayer(kind, output, weights, weights.dtype if given.dtype.startswith("i") else given.dtype)
