"""What a file shows of how its images want to be prepared, and of what its answers are."""

from __future__ import annotations

from collections.abc import Iterator

from exporters._inspect.graph import BITS, INTEGERS, Graph, Step, Value

_CARRIES = {
    *("Transpose", "Cast", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Pad"),
    *("TRANSPOSE", "CAST", "RESHAPE", "QUANTIZE", "DEQUANTIZE", "SQUEEZE", "EXPAND_DIMS"),
}
_NORMALISES = {"Sub", "Div", "Mul", "Add", "BatchNormalization", "SUB", "DIV", "MUL", "ADD"}
_ENDS = {
    **dict.fromkeys(("Softmax", "SOFTMAX"), "probabilities"),
    **dict.fromkeys(("LogSoftmax", "LOG_SOFTMAX"), "logarithms of probabilities"),
    **dict.fromkeys(("Sigmoid", "LOGISTIC"), "a probability for each class by itself"),
    **dict.fromkeys(("ArgMax", "ARG_MAX"), "the class's number only"),
}
_KNOWN_RANGES = (
    ((0.0, 255.0), "pixels as they are"),
    ((0.0, 1.0), "pixels / 255"),
    ((-1.0, 1.0), "pixels / 127.5 - 1"),
)
_TOLERANCE = 0.02


def hints(graph: Graph) -> Iterator[str]:
    for name in graph.inputs[:1]:
        value = graph.values[name]
        if value.scale and value.zero_point is not None and value.dtype in INTEGERS:
            yield _range(value)
        normalising = _first(graph, name)
        if normalising:
            yield f"it begins with {', '.join(normalising)}: a normalisation is in the file, give what comes before it"
        else:
            yield "no normalisation is in the file: give images prepared as in its training"
    for name in graph.outputs[:1]:
        last = _last(graph, name)
        if last:
            last = last.removeprefix("QLinear")
            yield f"it ends with {last}: answers are {_ENDS.get(last, 'logits, no softmax')}"


def _range(value: Value) -> str:
    """What the integers of an input stand for."""
    assert value.scale is not None
    assert value.zero_point is not None
    steps = 2 ** BITS[value.dtype]
    least = 0 if value.dtype.startswith("u") else -steps // 2
    low, high = ((least + end - value.zero_point) * value.scale for end in (0, steps - 1))
    text = f"its input's {value.dtype} hold {low:.4g} to {high:.4g}"
    for (known_low, known_high), words in _KNOWN_RANGES:
        room = _TOLERANCE * (known_high - known_low)
        if abs(low - known_low) <= room and abs(high - known_high) <= room:
            return f"{text}, the range of {words}"
    return text


def _first(graph: Graph, name: str) -> list[str]:
    """The normalising operators that the input meets before anything else."""
    readers: dict[str, list[Step]] = {}
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


def _last(graph: Graph, name: str) -> str:
    """What made the answer, before anything that only carries it."""
    makers: dict[str, Step] = {output: step for step in graph.steps for output in step.outputs}
    seen = set()
    while name in makers and name not in seen:
        seen.add(name)
        step = makers[name]
        if step.operator not in _CARRIES or not step.inputs:
            return step.operator
        name = step.inputs[0]
    return ""
