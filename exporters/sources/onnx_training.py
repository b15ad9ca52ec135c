"""Operators of an .onnx file in training mode: they draw at random, or normalise with the current images.

A runtime runs such a file without a warning, and its accuracy is about that of chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgebench.errors import UserError

TRAINABLE = ("BatchNormalization", "Dropout")
BATCH_NORMALIZATION_HAS_MODE = 14  # the opset; earlier, additional outputs requested it
DOES = {
    "BatchNormalization": "it normalises with the current images instead of the statistics of training",
    "Dropout": "it drops values at random",
}


def refuse_training(where: str, model: Any) -> None:
    """Raises UserError that names the first operator in training mode and counts the others."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    found = [node for graph in _graphs(model) for node in _training(graph, opset)]
    if not found:
        return
    first = found[0]
    name = first.name or next(iter(first.output))
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise UserError(
        where,
        f"{first.op_type} '{name}'{others} is in training mode: {DOES[first.op_type]}",
        "Export it in eval mode: call model.eval() first, and do not pass `training=` to torch.onnx.export (batch norm "
        "with track_running_stats=False has no other mode)",
    )


def _training(graph: Any, opset: int) -> Iterator[Any]:
    constants = {tensor.name: tensor for tensor in getattr(graph, "initializer", ())}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    for node in graph.node:
        if node.op_type in TRAINABLE and node.domain in ("", "ai.onnx") and _trains(node, opset, constants):
            yield node


def _trains(node: Any, opset: int, constants: dict[str, Any]) -> bool:
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "BatchNormalization":
        if opset >= BATCH_NORMALIZATION_HAS_MODE:
            return "training_mode" in attributes and bool(attributes["training_mode"].i)
        return sum(bool(name) for name in node.output) > 1  # the updated running mean, and so on
    return bool(_number(node, 2, constants)) and _number(node, 1, constants) != 0


def _number(node: Any, position: int, constants: dict[str, Any]) -> float | None:
    """The value of an input that is a constant number; None if it is missing or not constant."""
    from onnx import numpy_helper

    name = node.input[position] if len(node.input) > position else ""
    return float(numpy_helper.to_array(constants[name]).reshape(-1)[0]) if name in constants else None


def _graphs(model: Any) -> Iterator[Any]:
    """The graph of the network, those of its branches and loops, and its functions."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop(0)
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)
