"""An .onnx file as a graph.

Quantise and dequantise nodes are not steps: the values on both sides are one value, stored as integers. Neither are
constants, nor operators that only turn one constant into another when the file is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgebench.files.plain_text import plain_excerpt
from edgebench.schema.inspection import InspectedTensor
from exporters.inspect import onnx_file
from exporters.inspect.graph import Activation, Graph, GraphStep, Weight, guess_layout
from exporters.inspect.onnx_constants import (
    BETWEEN,
    INTEGER_WEIGHTS,
    QUANTISING,
    constants,
    dtype_of,
    first_names,
    number,
    weights,
)
from exporters.inspect.onnx_file import held_by, nodes
from exporters.inspect.onnx_shapes import Shapes, set_shape

_PER_OUTPUT_PIXEL = ("Conv", "QLinearConv", "ConvInteger", "FusedConv")
_PER_INPUT_PIXEL = ("ConvTranspose",)
_PER_ROW = (
    *("Gemm", "FusedGemm", "QGemm", "MatMul", "FusedMatMul"),
    *("QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
)
_FUSED_ACTIVATIONS = ("Relu", "Clip")


def read(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """shapes: of inputs; "" is the first input. Raises UserError for anything but an .onnx file that takes them."""
    from onnx import inliner

    model = onnx_file.parse(path)
    remarks = list(onnx_file.remarks(model, path))
    facts = onnx_file.facts(model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    known = constants(model)
    for name, shape in (shapes or {}).items():
        set_shape(model, path, known, name, shape)
    graph = _Reader(model, path.parent, known).graph()
    graph.facts = facts
    graph.remarks = remarks + graph.remarks
    return graph


def quantisable() -> frozenset[str]:
    """The operators that onnxruntime's quantiser supports."""
    try:
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
    except ImportError:
        return frozenset()
    return frozenset(QDQRegistry) | frozenset(QLinearOpsRegistry)


def on_integers(operator: str) -> bool:
    """Whether this kind of operator always computes on integers."""
    return operator.startswith("QLinear") or operator in INTEGER_WEIGHTS


class _Reader:
    def __init__(self, model: Any, folder: Path, known: dict[str, Any]) -> None:
        self._model = model
        self._constants = known
        self._first = first_names(model, known)
        self._weights = weights(model, known, self._first, folder)
        self._integers = self._held_in_integers()
        self._edges = _Edges(model)
        self._quantisable = quantisable()
        self._sources = [port for port in model.graph.input if port.name not in known]
        self._ports = [_port(port) for port in self._sources], [_port(port) for port in model.graph.output]
        self._shapes = Shapes(model, known)  # last: it fills in open batches and drops the data of large constants

    def graph(self) -> Graph:
        model = self._model.graph
        graph = Graph(remarks=self._shapes.remarks, conversions=self._conversions())
        for node, inside in nodes(model):
            made = node.output and self._root(node.output[0]) in self._constants
            if node.op_type not in (*BETWEEN, "Constant") and not made:
                graph.steps.append(self._step(node, inside))
        graph.ports_in, graph.ports_out = self._ports
        graph.inputs = [port.name for port in self._sources]
        graph.outputs = [name for port in model.output if (name := self._root(port.name)) not in self._constants]
        flowing = {*graph.inputs, *graph.outputs, *(n for step in graph.steps for n in (*step.inputs, *step.outputs))}
        graph.values = {name: self._value(name) for name in sorted(flowing)}
        return graph

    def _root(self, name: str) -> str:
        return self._first.get(name, name)

    def _conversions(self) -> dict[str, int]:
        return dict(Counter(node.op_type for node, _ in nodes(self._model.graph) if node.op_type in QUANTISING))

    def _step(self, node: Any, inside: str) -> GraphStep:
        outputs = tuple(name for name in node.output if name)
        inputs = tuple(dict.fromkeys(self._root(name) for name in self._read_by(node)))
        own_weights = tuple(self._weights_of(node))
        return GraphStep(
            name=inside + (node.name or (outputs[0] if outputs else "")),
            operator=node.op_type,
            inputs=inputs,
            outputs=outputs,
            weights=own_weights,
            multiplies=self._multiplies(node, inputs, outputs) if own_weights else None,
            quantised=on_integers(node.op_type) or self._is_quantised(node, own_weights),
            grouped=any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute),
            inside=inside,
        )

    def _is_quantised(self, node: Any, own_weights: tuple[Weight, ...]) -> bool:
        """Excludes operators between quantised ones that have float weights, or that the quantiser does not support."""
        largest = max(own_weights, key=lambda weight: weight.count, default=None)
        known = not self._quantisable or node.op_type in self._quantisable
        return known and (largest is None or largest.scales > 0) and self._edges.quantised(node)

    def _read_by(self, node: Any) -> Iterator[str]:
        """The activations that a node reads itself, and those of the main graph that its subgraphs read."""
        for name in node.input:
            if name and self._root(name) not in self._constants:
                yield name
        for _, subgraph in held_by(node):
            for inner, _ in nodes(subgraph):
                for name in inner.input:
                    if self._root(name) in self._edges.main_values:
                        yield name

    def _weights_of(self, node: Any) -> Iterator[Weight]:
        places: Any = range(len(node.input))
        if node.op_type in INTEGER_WEIGHTS:
            places = [place for place, _, _ in INTEGER_WEIGHTS[node.op_type] if place < len(node.input)]
        elif node.op_type.startswith("QLinear"):
            places = ()
        for place in places:
            weight = self._weights.get(self._root(node.input[place]))
            if weight is not None:
                yield weight

    def _multiplies(self, node: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, int] | None:
        if node.op_type in _PER_INPUT_PIXEL and inputs:
            return inputs[0], 1
        if node.op_type in _PER_OUTPUT_PIXEL and outputs:
            return outputs[0], 1
        if node.op_type in _PER_ROW and outputs:
            weight_first = self._root(node.input[0]) in self._weights
            return outputs[0], -2 if weight_first else -1
        return None

    def _held_in_integers(self) -> dict[str, tuple[str, float | None, int | None]]:
        """Values between quantise and dequantise nodes: dtype, and scale and zero point if there is one of each."""
        found: dict[str, tuple[str, float | None, int | None]] = {}
        for node, _ in nodes(self._model.graph):
            if node.op_type in QUANTISING and len(node.input) > 1:
                scale = self._constants.get(node.input[1])
                zero = self._constants.get(node.input[2]) if len(node.input) > 2 else None
                found[self._root(node.input[0])] = (
                    "uint8" if zero is None else dtype_of(zero.data_type),
                    None if scale is None else number(scale),
                    0 if zero is None else int(number(zero) or 0),
                )
        return found

    def _value(self, name: str) -> Activation:
        shape, dtype = self._shapes.of(name)
        if name in self._integers:
            return Activation(shape, *self._integers[name])
        return Activation(shape, dtype)


class _Edges:
    """Which nodes lie between dequantise and quantise nodes."""

    def __init__(self, model: Any) -> None:
        everything = [node for node, _ in nodes(model.graph)]
        self._readers: dict[str, list[Any]] = {}
        for node in everything:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._makers = {name: node for node in everything for name in node.output}
        self._answers = {port.name for port in model.graph.output}
        self._kept = {tensor.name for tensor in model.graph.initializer}
        self.main_values = {name for node in model.graph.node for name in node.output}
        self.main_values |= {port.name for port in model.graph.input} - self._kept

    def quantised(self, node: Any) -> bool:
        """Whether all its inputs were dequantised, and all its outputs are quantised immediately."""
        data = [name for name in node.input if name and name not in self._kept]
        made = [self._makers[name] for name in data if name in self._makers]
        read = [one for one in made if one.op_type != "Constant"]
        return (
            any(one.op_type == "DequantizeLinear" for one in read)
            and all(one.op_type == "DequantizeLinear" for one in read)
            and bool(node.output)
            and self._becomes_integers(node.output[0])
        ) or (node.op_type in _FUSED_ACTIVATIONS and self._ends_a_quantised(node, read))

    def _becomes_integers(self, name: str) -> bool:
        readers = self._readers.get(name, [])
        if name in self._answers or not readers:
            return False
        if len(readers) == 1 and readers[0].op_type in _FUSED_ACTIVATIONS and readers[0].output:
            name = readers[0].output[0]
            readers = self._readers.get(name, [])
        return name not in self._answers and bool(readers) and all(r.op_type == "QuantizeLinear" for r in readers)

    def _ends_a_quantised(self, node: Any, read: list[Any]) -> bool:
        """Whether it is an activation function between a layer and its quantise node, which is fused with both."""
        return len(read) == 1 and read[0].op_type not in (*BETWEEN, *_FUSED_ACTIVATIONS) and self.quantised(read[0])


def _port(port: Any) -> InspectedTensor:
    kind = port.type.tensor_type
    # Some exporters write -1 where a size is open.
    sizes = tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else plain_excerpt(dim.dim_param) or "?"
        for dim in kind.shape.dim
    )
    return InspectedTensor(plain_excerpt(port.name), sizes, dtype_of(kind.elem_type), guess_layout(sizes, "NCHW"))
