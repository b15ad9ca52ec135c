"""Adds channels of zeros to an INT8 .onnx file where onnxruntime's fast kernels need a round number of channels.

On x86 its kernels for 8-bit convolutions (MLAS ConvSym) read input channels in groups of four and write at least
sixteen, in groups of four; depthwise kernels take sixteen at a time. For any other number a slower path is taken:
patches are copied into a matrix, which is multiplied. An image has three channels, the narrow layer of
squeeze-and-excite often four to ten, a pruned layer any number. The added channels are zero, or read by weights that
are zero, so that the outputs stay the same to the bit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FOURS = 4
LEAST = 16  # output channels of these kernels
SIXTEENS = 16  # of depthwise kernels
SINGLE = ("QuantizeLinear", "DequantizeLinear", "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish")
POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool")
SUMS = ("Add", "Mul")


def widen(model: Any) -> None:
    """model: with quantise and dequantise nodes; changed in place."""
    graph = _Graph(model.graph)
    for channels in _shared_channels(graph):
        channels.widen(graph)
    _widen_image(graph)
    graph.drop_unread()
    # These sizes are out of date.
    del model.graph.value_info[:]


@dataclass
class _Graph:
    """An ONNX graph by names."""

    graph: Any
    tensors: dict[str, Any] = field(init=False)
    writers: dict[str, Any] = field(init=False)
    readers: dict[str, list[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        self.writers = {name: node for node in self.graph.node for name in node.output}
        self.readers = defaultdict(list)
        for node in self.graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def numbers(self, name: str) -> np.ndarray:
        from onnx import numpy_helper

        array: np.ndarray = numpy_helper.to_array(self.tensors[name])
        return array

    def quantised(self, name: str) -> Any:
        """The dequantise node of a constant, None for anything else."""
        node = self.writers.get(name)
        given = node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self.tensors
        return node if given else None

    def constant(self, name: str) -> str:
        """The stored tensor behind `name`; "" if it depends on the image."""
        node = self.quantised(name)
        return name if name in self.tensors else node.input[0] if node is not None else ""

    def pad(self, node: Any, position: int, axis: int, count: int, fill: float = 0) -> None:
        """Append `count` numbers along an axis of a constant; a single number for all channels stays."""
        import numpy as np
        from onnx import numpy_helper

        array = self.numbers(node.input[position])
        if array.ndim == 0:
            return
        shape = (*array.shape[:axis], count, *array.shape[axis + 1 :])
        wide = np.concatenate([array, np.full(shape, fill, array.dtype)], axis)
        name = f"{node.input[position]}/{wide.shape[axis]}"
        self.tensors[name] = numpy_helper.from_array(wide, name)
        self.graph.initializer.append(self.tensors[name])
        node.input[position] = name

    def drop_unread(self) -> None:
        read = {name for node in self.graph.node for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


@dataclass
class _Channels:
    """Activations that must have the same number of channels: the convolutions that write and read them.

    fixed: other nodes depend on their number.
    """

    written_by: list[Any] = field(default_factory=list)
    read_by: list[Any] = field(default_factory=list)
    depthwise: list[Any] = field(default_factory=list)
    fixed: bool = False

    def widen(self, graph: _Graph) -> None:
        widths = {len(graph.numbers(graph.quantised(node.input[1]).input[0])) for node in self.written_by}
        if self.fixed or len(widths) != 1:
            return
        (width,) = widths
        step = SIXTEENS if self.depthwise else FOURS
        count = max(LEAST, -(-width // step) * step) - width
        if not count:
            return
        for node in (*self.written_by, *self.depthwise):
            _widen_outputs(graph, node, count)
        for node in self.depthwise:
            _attribute(node, "group").i += count
        for node in self.read_by:
            graph.pad(graph.quantised(node.input[1]), 0, 1, count)


def _widen_outputs(graph: _Graph, node: Any, count: int) -> None:
    weight = graph.quantised(node.input[1])
    for position, fill in enumerate((0, 1, 0)[: len(weight.input)]):
        graph.pad(weight, position, 0, count, fill)
    if len(node.input) == 2:
        return
    bias = graph.quantised(node.input[2])
    if bias is None:
        graph.pad(node, 2, 0, count)
        return
    # The scale of a bias is that of the input times that of the weights, here 1.
    source = float(graph.numbers(graph.writers[node.input[0]].input[1]))
    for position, scale in enumerate((0, source, 0)[: len(bias.input)]):
        graph.pad(bias, position, 0, count, scale)


def _shared_channels(graph: _Graph) -> list[_Channels]:
    """Groups that must be widened together, or not at all."""
    roots: dict[str, str] = {}

    def root(name: str) -> str:
        while roots.setdefault(name, name) != name:
            name = roots[name]
        return name

    found: dict[str, _Channels] = defaultdict(_Channels)
    written, read, depthwise, fixed = [], [], [], [port.name for port in (*graph.graph.input, *graph.graph.output)]
    for node in graph.graph.node:
        constants = [constant for name in node.input if (constant := graph.constant(name))]
        given = [name for name in node.input if name and not graph.constant(name)]
        if _is_integer_convolution(graph, node):
            group, weights = _group(node), graph.numbers(graph.quantised(node.input[1]).input[0])
            if group == 1:
                written.append((node.output[0], node))
                read.append((node.input[0], node))
                continue
            if group == len(weights) and weights.shape[1] == 1:
                depthwise.append((node.output[0], node))
                roots[root(node.input[0])] = root(node.output[0])
                continue
        elif given and _keeps_channels(graph, node, constants):
            for name in given:
                roots[root(name)] = root(node.output[0])
            continue
        fixed += [*given, *node.output]
    for name, node in written:
        found[root(name)].written_by.append(node)
    for name, node in read:
        found[root(name)].read_by.append(node)
    for name, node in depthwise:
        found[root(name)].depthwise.append(node)
    for name in fixed:
        found[root(name)].fixed = True
    return list(found.values())


def _is_integer_convolution(graph: _Graph, node: Any) -> bool:
    """Whether it computes on bytes: its input and its weights are dequantised directly before it."""
    if node.op_type != "Conv" or graph.quantised(node.input[1]) is None:
        return False
    source = graph.writers.get(node.input[0])
    return source is not None and source.op_type == "DequantizeLinear"


def _keeps_channels(graph: _Graph, node: Any, constants: list[str]) -> bool:
    """Whether each output channel depends on the same input channel only."""
    if node.op_type in POOLS:
        return True
    return node.op_type in (*SINGLE, *SUMS) and all(graph.numbers(name).ndim == 0 for name in constants)


def _widen_image(graph: _Graph) -> None:
    """Give colour images a fourth channel, as bytes. Not grey images: three quarters would be zeros."""
    import numpy as np
    from onnx import helper, numpy_helper

    for node in list(graph.graph.node):
        if not _is_integer_convolution(graph, node) or _group(node) != 1:
            continue
        source = graph.writers[node.input[0]]
        quantise = graph.writers.get(source.input[0])
        weight = graph.quantised(node.input[1])
        outputs, channels, *window = graph.numbers(weight.input[0]).shape
        if len(window) != 2:
            continue
        count = -channels % FOURS
        alone = len(graph.readers[node.input[0]]) == 1 and len(graph.readers[source.input[0]]) == 1
        if quantise is None or quantise.input[0] != graph.graph.input[0].name or not alone:
            continue
        if count not in (1, 2) or outputs < LEAST or outputs % FOURS:
            continue
        ends = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, count, 0, 0], np.int64), "image/pads")
        graph.graph.initializer.append(ends)
        pad = helper.make_node(
            "Pad", [quantise.output[0], ends.name, quantise.input[2]], ["image/wide"], name="image/wide"
        )
        graph.graph.node.insert(list(graph.graph.node).index(quantise) + 1, pad)
        source.input[0] = pad.output[0]
        graph.pad(weight, 0, 1, count)


def _group(node: Any) -> int:
    found = _attribute(node, "group")
    return 1 if found is None else int(found.i)


def _attribute(node: Any, name: str) -> Any:
    return next((attribute for attribute in node.attribute if attribute.name == name), None)
