"""What a file reveals about how its inputs must be prepared, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from exporters.inspect.graph import BITS, INTEGERS, Activation, Graph, GraphStep

_CARRIES = {
    *("Transpose", "Cast", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Pad"),
    *("TRANSPOSE", "CAST", "RESHAPE", "QUANTIZE", "DEQUANTIZE", "SQUEEZE", "EXPAND_DIMS"),
}
_NORMALISES = {"Sub", "Div", "Mul", "Add", "BatchNormalization", "SUB", "DIV", "MUL", "ADD"}
# A network that ends in one of these returns plain sums of products.
_LINEAR = {
    *("Gemm", "MatMul", "Conv", "Add", "FusedGemm", "FusedMatMul", "FusedConv", "MatMulInteger", "ConvInteger"),
    *("QGemm", "FULLY_CONNECTED", "CONV_2D", "ADD", "BATCH_MATMUL", "DEPTHWISE_CONV_2D"),
}
# The mean of an operator's output is of the same kind.
_MEANS = {"GlobalAveragePool", "AveragePool", "ReduceMean", "MEAN", "AVERAGE_POOL_2D"}
_EXPONENTIALS = {"Exp", "EXP"}
_SUMS = {"ReduceSum", "SUM", "Sum"}
_QUOTIENTS = {"Div", "DIV"}
_PRODUCTS = {"Mul", "MUL"}
_SPREADS = frozenset(("Expand", "Tile", "BROADCAST_TO", "TILE"))
_ENDS = {
    **dict.fromkeys(("Softmax", "SOFTMAX"), "probabilities"),
    **dict.fromkeys(("LogSoftmax", "LOG_SOFTMAX"), "logarithms of probabilities"),
    **dict.fromkeys(("Sigmoid", "LOGISTIC"), "independent probabilities for each class"),
    **dict.fromkeys(("ArgMax", "ARG_MAX"), "the index of the class only"),
}
_KNOWN_RANGES = (
    ((0.0, 255.0), "unscaled pixels"),
    ((0.0, 1.0), "pixels / 255"),
    ((-1.0, 1.0), "pixels / 127.5 - 1"),
)
_TOLERANCE = 0.02
_SOUNDS = ("mel", "spec", "audio", "wav", "mfcc", "sound", "speech")


def hints(graph: Graph) -> Iterator[str]:
    for name in graph.inputs[:1]:
        value = graph.values[name]
        if value.scale and value.zero_point is not None and value.dtype in INTEGERS:
            yield _range(value)
        if value.dtype in ("int32", "int64"):
            yield f"its input is {value.dtype}: tokens, indices or counts, nothing to normalise"
            break
        normalising = _first(graph, name)
        if normalising:
            yield (
                f"it begins with {', '.join(normalising)}: the file contains a normalisation, "
                "feed it inputs that are not normalised"
            )
        else:
            given = "images" if _is_image(name, value) else "inputs"
            yield f"the file contains no normalisation: feed it {given} prepared as in its training"
    for name in graph.outputs[:1]:
        last = _behind(_makers(graph), name)
        if last:
            yield f"it ends with {last.operator.removeprefix('QLinear')}: {_answers(graph, last, graph.values[name])}"


def _is_image(name: str, value: Activation) -> bool:
    """Judging by its sizes: colour channels, or one square channel. Spectrograms of sounds look the same."""
    if value.shape is None or len(value.shape) != 4 or any(word in name.lower() for word in _SOUNDS):
        return False
    for channels, high, wide in (value.shape[1:], (value.shape[3], *value.shape[1:3])):
        if channels in (3, 4) or (channels == 1 and high == wide):
            return True
    return False


def _answers(graph: Graph, last: GraphStep, value: Activation) -> str:
    """What the outputs mean, judging by the operator that makes them; nothing is claimed if that may be anything."""
    makers = _makers(graph)
    while last.operator in _MEANS and last.inputs and (meant := _behind(makers, last.inputs[0])):
        last = meant
    operator = last.operator.removeprefix("QLinear")
    if operator in _ENDS:
        return f"outputs are {_ENDS[operator]}"
    if _is_softmax(makers, last):
        return "outputs are probabilities, a softmax written as exponentials over their sum"
    if operator in _LINEAR:
        return "outputs are logits, no softmax" if value.shape and len(value.shape) == 2 else "no softmax in the file"
    return "the file does not show what its outputs mean"


def _is_softmax(makers: Mapping[str, GraphStep], last: GraphStep) -> bool:
    """Whether exponentials are divided by their sum, or multiplied by its reciprocal."""
    if len(last.inputs) != 2:
        return False
    above, below = (_behind(makers, name, _SPREADS) for name in last.inputs)
    if last.operator in _PRODUCTS and below is not None and below.operator == "Reciprocal":
        below = _behind(makers, below.inputs[0], _SPREADS)
    elif last.operator not in _QUOTIENTS:
        return False
    if above is None or below is None or above.operator not in _EXPONENTIALS or below.operator not in _SUMS:
        return False
    return any(_behind(makers, name) is above for name in below.inputs)


def _makers(graph: Graph) -> dict[str, GraphStep]:
    return {output: step for step in graph.steps for output in step.outputs}


def _behind(makers: Mapping[str, GraphStep], name: str, carries: Set[str] = frozenset()) -> GraphStep | None:
    """The step that made a value, skipping those that only pass it on."""
    seen: set[str] = set()
    while name in makers and name not in seen:
        seen.add(name)
        step = makers[name]
        if step.operator not in _CARRIES and step.operator not in carries:
            return step
        if not step.inputs:
            return step
        name = step.inputs[0]
    return None


def _range(value: Activation) -> str:
    """The range that the integers of an input represent."""
    assert value.scale is not None
    assert value.zero_point is not None
    steps = 2 ** BITS[value.dtype]
    least = 0 if value.dtype.startswith("u") else -steps // 2
    low, high = ((least + end - value.zero_point) * value.scale for end in (0, steps - 1))
    text = f"its {value.dtype} input represents {low:.4g} to {high:.4g}"
    for (known_low, known_high), words in _KNOWN_RANGES:
        room = _TOLERANCE * (known_high - known_low)
        if abs(low - known_low) <= room and abs(high - known_high) <= room:
            return f"{text}, the range of {words}"
    return text


def _first(graph: Graph, name: str) -> list[str]:
    """The normalising operators that come before all others."""
    readers: dict[str, list[GraphStep]] = {}
    for step in graph.steps:
        for read in step.inputs:
            readers.setdefault(read, []).append(step)
    found: list[str] = []
    while len(readers.get(name, [])) == 1:
        (step,) = readers.pop(name)
        if step.operator in _NORMALISES and len(step.inputs) == 1:
            found.append(step.operator)
        elif step.operator not in _CARRIES:
            break
        name = step.outputs[0] if step.outputs else ""
    return found
