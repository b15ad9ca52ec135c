"""What a graph contains: layers, MACs, memory, and why a layer is float."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Literal

from edgebench.files.plain_text import plain_excerpt
from edgebench.schema.inspection import ActivationMemory, Layer, NetworkInFile
from exporters.inspect.graph import CONVERSIONS, Graph, GraphStep
from exporters.inspect.hints import hints

# They multiply, but the shapes of their weights alone do not say what and how often.
_UNCOUNTED = {
    *("MatMul", "BATCH_MATMUL", "Einsum", "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "MatMulNBits"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "DeformConv", "CONV_3D_TRANSPOSE", "SVDF"),
}


def network(graph: Graph, quantisable: frozenset[str]) -> NetworkInFile:
    """quantisable: the operators that the format's quantiser supports; empty if that is not known."""
    layers = tuple(_layers(graph, quantisable))
    unique = {weight.name: weight for step in graph.steps for weight in step.weights}.values()
    macs = [layer.macs for layer in layers]
    return NetworkInFile(
        facts={name: plain_excerpt(value) for name, value in graph.facts.items()},
        inputs=tuple(graph.ports_in),
        outputs=tuple(graph.ports_out),
        signatures=tuple(plain_excerpt(one) for one in graph.signatures),
        layers=layers,
        conversions=graph.conversions,
        parameters=sum(weight.count for weight in unique),
        weights_bytes=sum(weight.size_bytes for weight in unique),
        macs=None if None in macs else sum(one or 0 for one in macs),
        memory=memory(graph),
        hints=tuple(plain_excerpt(hint) for hint in hints(graph)),
        remarks=tuple(plain_excerpt(remark) for remark in [*graph.remarks, *_uncounted(graph)]),
    )


def memory(graph: Graph) -> ActivationMemory | None:
    """Memory for the activations of the main graph; None if a size is not known."""
    steps = [(number, step) for number, step in enumerate(graph.steps, start=1) if not step.inside]
    names = {*graph.inputs, *(name for _, step in steps for name in (*step.inputs, *step.outputs))}
    sizes = {name: size for name in names if (size := graph.values[name].size_bytes) is not None}
    if len(sizes) < len(names):
        return None
    last_read = {name: position for position, (_, step) in enumerate(steps) for name in step.inputs}
    last_read |= dict.fromkeys(graph.outputs, len(steps))
    held = set(graph.inputs)
    total = sum(sizes[name] for name in held)
    peak, peak_at = 0, 0
    for position, (number, step) in enumerate(steps):
        made = set(step.outputs) - held
        held |= made
        total += sum(sizes[name] for name in made)
        if total > peak:
            peak, peak_at = total, number
        done = {name for name in (*step.inputs, *made) if name in held and last_read.get(name, -1) <= position}
        held -= done
        total -= sum(sizes[name] for name in done)
    return ActivationMemory(peak, peak_at) if peak else None


def macs(step: GraphStep, graph: Graph) -> int | None:
    """Multiply-accumulates for one image, as models.Size counts them; None if a size is open."""
    if step.multiplies is None or step.largest is None:
        return 0
    name, axis = step.multiplies
    value = graph.values.get(name)
    shape = value.known_shape if value else None
    if not shape or not -len(shape) <= axis < len(shape):
        return None
    positions = prod(shape) // max(1, shape[axis])
    return step.largest.count * max(1, positions // graph.batch)


def _layers(graph: Graph, quantisable: frozenset[str]) -> list[Layer]:
    neighbours = _Neighbours(graph)
    quantised = graph.quantised
    layers = []
    for number, step in enumerate(graph.steps, start=1):
        value = graph.values.get(step.outputs[0]) if step.outputs else None
        main = step.largest
        kind = _arithmetic(step)
        why = _why_float(step, neighbours, quantisable) if kind == "float" and quantised else ""
        layers.append(
            Layer(
                number=number,
                name=plain_excerpt(step.name or step.operator),
                operator=plain_excerpt(step.operator),
                output_shape=(value.known_shape or ()) if value else (),
                activation_dtype=value.dtype if value else "",
                activation_bytes=value.size_bytes if value else None,
                macs=macs(step, graph),
                parameters=sum(weight.count for weight in step.weights),
                weights_bytes=sum(weight.size_bytes for weight in step.weights),
                weights=main.count if main else 0,
                weights_dtype=main.dtype if main else "",
                scales=main.scales if main else 0,
                zeros=main.zeros if main else None,
                grouped=step.grouped,
                arithmetic=kind,
                why_float=why,
            )
        )
    return layers


def _arithmetic(step: GraphStep) -> Literal["integer", "float", "none"]:
    if step.operator in CONVERSIONS:
        return "none"
    return "integer" if step.quantised else "float"


class _Neighbours:
    """Which steps write and read each value."""

    def __init__(self, graph: Graph) -> None:
        self._makes = {name: step for step in graph.steps for name in step.outputs}
        self._reads: dict[str, list[GraphStep]] = {}
        for step in graph.steps:
            for name in step.inputs:
                self._reads.setdefault(name, []).append(step)

    def before(self, step: GraphStep) -> list[GraphStep]:
        return [self._makes[name] for name in step.inputs if name in self._makes]

    def after(self, step: GraphStep) -> list[GraphStep]:
        return [reader for name in step.outputs for reader in self._reads.get(name, [])]


def _why_float(step: GraphStep, neighbours: _Neighbours, quantisable: frozenset[str]) -> str:
    if step.largest is not None and step.largest.scales:
        return "only its weights are quantised, not its activations"
    if quantisable and step.operator not in quantisable:
        return f"the quantiser does not support {step.operator}"
    before, after = neighbours.before(step), neighbours.after(step)
    if before and not any(other.quantised for other in before):
        between = after and not any(other.quantised for other in after)
        return "between float operators" if between else "its input comes from a float operator"
    return "excluded from quantisation: by a list of exceptions, or for accuracy"


def _uncounted(graph: Graph) -> list[str]:
    """Remarks about products that are not in the MAC count."""
    kinds = Counter(step.operator for step in graph.steps if step.operator in _UNCOUNTED and not step.multiplies)
    return [
        f"only MACs with stored weights are counted, not those of {number} x {kind}" for kind, number in kinds.items()
    ]
