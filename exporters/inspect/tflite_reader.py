"""A .tflite file as a graph.

Dequantise operators on constants (weights stored as fp16 in a float file) are not steps.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Sequence
from pathlib import Path

from edgebench.errors import BadFile
from exporters.inspect.graph import INTEGERS, Graph, GraphStep
from exporters.inspect.tflite_file import IDENTIFIER, File, Tensor, indexes

_DAMAGED = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError)

_PER_OUTPUT_PIXEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D")
_PER_ROW = ("FULLY_CONNECTED", "BATCH_MATMUL")
_DONE_ON_LOADING = ("DEQUANTIZE", "DENSIFY")
_SCHEMA_NAMES = {"CONV_2D_TRANSPOSE": "TRANSPOSE_CONV"}


def read(path: Path) -> Graph:
    """Raises BadFile."""
    content = path.read_bytes()
    try:
        if content[4:8] != IDENTIFIER:
            raise ValueError("no identifier")
        return graph_of(File(content, path))
    except _DAMAGED as error:
        raise BadFile(str(path), "not a TFLite network, or only part of one", "Export or download it again") from error


def quantisable() -> frozenset[str]:
    """The operators that ai-edge-quantizer supports; empty if it is not installed."""
    if importlib.util.find_spec("ai_edge_quantizer") is None:
        return frozenset()
    from ai_edge_quantizer.qtyping import TFLOperationName

    return frozenset(_SCHEMA_NAMES.get(name.value, name.value) for name in TFLOperationName)


def key(subgraph: int, tensor: int) -> str:
    """The key of a value in the graph."""
    return f"{subgraph}:{tensor}"


def graph_of(file: File) -> Graph:
    graph = Graph(facts=file.facts(), signatures=list(file.signatures()))
    for number in range(len(file.subgraphs)):
        _add_subgraph(graph, file, number)
    if len(file.subgraphs) > 1:
        graph.remarks.append("its other subgraphs are counted once, and not included in the memory")
    if any(isinstance(size, str) for port in graph.ports_in for size in port.shape):
        graph.remarks.append("its inputs leave sizes open; counts are for the sizes stored in the file")
    return graph


def _add_subgraph(graph: Graph, file: File, number: int) -> None:
    subgraph = file.subgraphs[number]
    tensors = file.tensors(subgraph)
    stored = {index: tensor for index, tensor in enumerate(tensors) if tensor.is_constant}
    inside = f"subgraph {number}/" if number else ""
    for position in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(position)
        kind = file.kind(operator)
        # -1: an omitted input.
        inputs = [index for index in indexes(operator.InputsAsNumpy()) if index >= 0]
        outputs = indexes(operator.OutputsAsNumpy())
        if kind in _DONE_ON_LOADING and inputs and outputs and inputs[0] in stored:
            stored[outputs[0]] = stored[inputs[0]]
            graph.conversions[kind] = graph.conversions.get(kind, 0) + 1
            continue
        flowing = [index for index in inputs if index not in stored]
        constants = [(index, stored[index]) for index in inputs if index in stored]
        weights = [tensor.weight(f"{number}:{tensor.name}:{index}") for index, tensor in constants]
        graph.values |= {key(number, index): tensors[index].value() for index in (*flowing, *outputs)}
        graph.steps.append(
            GraphStep(
                name=inside + (tensors[outputs[0]].name if outputs else ""),
                operator=kind,
                inputs=tuple(key(number, index) for index in flowing),
                outputs=tuple(key(number, index) for index in outputs),
                weights=tuple(weight for weight in weights if weight is not None),
                multiplies=_multiplies(kind, number, flowing, outputs) if any(weights) else None,
                quantised=_on_integers([tensors[index] for index in (*flowing, *outputs)]),
                grouped=_is_grouped(kind, [tensors[index] for index in flowing]),
                inside=inside,
            )
        )
    if number == 0:
        for stored_indexes, keys, ports in (
            (subgraph.InputsAsNumpy(), graph.inputs, graph.ports_in),
            (subgraph.OutputsAsNumpy(), graph.outputs, graph.ports_out),
        ):
            for index in indexes(stored_indexes):
                keys.append(key(0, index))
                graph.values[key(0, index)] = tensors[index].value()
                ports.append(tensors[index].port())


def _multiplies(kind: str, number: int, flowing: Sequence[int], outputs: Sequence[int]) -> tuple[str, int] | None:
    """For `GraphStep.multiplies`; channels are last."""
    if kind in (*_PER_OUTPUT_PIXEL, *_PER_ROW) and outputs:
        return key(number, outputs[0]), -1
    if kind == "TRANSPOSE_CONV" and flowing:
        return key(number, flowing[-1]), -1
    return None


def _is_grouped(kind: str, flowing: Sequence[Tensor]) -> bool:
    """Converters also write a convolution of a single channel as a depthwise one, which is not grouped."""
    return kind == "DEPTHWISE_CONV_2D" and bool(flowing) and flowing[0].shape[-1:] != (1,)


def _on_integers(flowing: Sequence[Tensor]) -> bool:
    return bool(flowing) and all(tensor.is_quantised and tensor.dtype in INTEGERS for tensor in flowing)
