"""What scales and shifts channels (a batch norm that stands alone, a multiplication and an addition) is folded away.

A batch norm directly behind a convolution is folded by every converter. One in front of it, behind a sum, a
concatenation, an activation or a pool is left, and eight bits serve it badly: with one scale for the numbers of all
channels, and in TFLite a rounding for each of its four operators. So, exactly up to the rounding of floats:

1. One behind another becomes one; one behind a layer with weights becomes part of that layer.
2. One in front of layers with weights becomes part of them, if nothing else reads it and eight bits still hold their
   weights. What pads with zeros takes no shifts, only scales. Pooling and flattening may lie on the way.
3. What is left becomes a depthwise convolution of 1 x 1, which has a scale for each channel.

Formats hold operators differently: `_onnx_affine`, `_tflite_affine`. Numbers are float64 until they are held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

# How much larger the rounding of weights may become by folding a scale into the layer behind it, as power: channels of
# very different scales (pixels that are nearly always the same) leave the others few of a layer's steps.
LARGEST_GROWTH = 16.0
LEAST_SCALE = 1 / 4  # of the median: what is scaled by less is not larger for it, but matters less
# How far answers may be off for it, of their size; sums are added up in another order.
LARGEST_ERROR = 1e-4


@dataclass
class Affine:
    """y = scale * x + shift, each [channels], or [1] for all. source, result: tensors. bounded: an activation follows.

    node: the operator that stands for it in the graph. norm: which is a batch norm. written: whether the node still
    says just this.
    """

    node: Any
    source: Any
    result: Any
    scale: Float64Array
    shift: Float64Array
    bounded: bool = False
    norm: bool = False
    written: bool = True

    @property
    def spoils(self) -> bool:
        """Whether eight bits serve it badly: not a single number for all channels, added or multiplied with."""
        return self.norm or not self.written or max(len(self.scale), len(self.shift)) > 1


class AffineGraph(Protocol):
    """Operators and tensors of one format; both are what the format says."""

    def affines(self) -> list[Affine]: ...

    def writer(self, tensor: Any) -> Any:
        """The operator, None for an input of the network."""

    def readers(self, tensor: Any) -> list[Any]: ...

    def is_answer(self, tensor: Any) -> bool: ...

    def result(self, node: Any) -> Any: ...

    def fold_behind(self, node: Any, affine: Affine) -> bool:
        """Put it into a layer with weights that it follows, and take the layer's answer for its own; whether it did."""

    def takes(self, node: Any, tensor: Any, affine: Affine) -> bool:
        """Whether `fold_before` is exact, and kind to its weights."""

    def fold_before(self, node: Any, tensor: Any, affine: Affine) -> None: ...

    def passed(self, node: Any, tensor: Any, affine: Affine) -> Affine | None:
        """The same behind an operator that commutes with it."""

    def bypass(self, affine: Affine) -> None:
        """Its readers read what it read."""

    def merge(self, first: Affine, second: Affine) -> None:
        """`second` is gone: what read it reads the result of `first`."""

    def as_layer(self, affine: Affine) -> bool:
        """Write it as a depthwise convolution, or else as it is now; whether it became the former."""


@dataclass
class Folded:
    """How many of them became what."""

    found: int = 0
    into_layers: int = 0
    merged: int = 0
    layers: int = 0

    def __str__(self) -> str:
        parts = [
            (self.into_layers, "into the layers around them"),
            (self.merged, "into one another"),
            (self.layers, "as depthwise convolutions"),
            (self.found - self.into_layers - self.merged - self.layers, "left as they are"),
        ]
        told = ", ".join(f"{count} {where}" for count, where in parts if count)
        return f"{self.found} operators that scale or shift channels: {told}"

    @property
    def any(self) -> bool:
        return bool(self.into_layers or self.merged or self.layers)


def fold(graph: AffineGraph) -> Folded:
    left = graph.affines()
    folded = Folded(len(left))
    while _merged_one(graph, left):
        folded.merged += 1
    if not any(affine.spoils for affine in left):
        return folded
    for affine in list(left):
        if _folded_behind(graph, affine) or _folded_before(graph, affine, left):
            left.remove(affine)
            folded.into_layers += 1
    for affine in left:
        if affine.spoils:
            folded.layers += graph.as_layer(affine)
    return folded


def is_kind_to(weight: Float64Array, scale: Float64Array) -> bool:
    """Whether eight bits still hold the weights of a layer with the scale of its input in them about as well.

    weight: [..., channels, numbers], of which each [channels, numbers] has one step; scale: [..., channels, 1]. What
    rounding adds to the answers is compared with the answers, as power. How large the channels are is not known: a
    scale is taken to undo half of a difference. A weight of zero is exact.
    """
    import numpy as np

    before, after = (abs(numbers).max((-2, -1)) for numbers in (weight, weight * scale))
    size = abs(scale)
    least = LEAST_SCALE * np.median(size[size > 0]) if size.any() else 1.0
    given = np.where(size == 0, 0.0, 1 / np.maximum(size, least))
    power = given.mean((-2, -1)) / np.maximum((given * size**2).mean((-2, -1)), 1e-30)
    grown = np.square(after / np.maximum(before, 1e-30)) * power
    return bool(grown.mean() <= LARGEST_GROWTH)


def _merged_one(graph: AffineGraph, left: list[Affine]) -> bool:
    by_result = {affine.result: affine for affine in left}
    for second in left:
        first = by_result.get(second.source)
        if first is None or first.bounded or not _is_read_once(graph, first.result):
            continue
        first.shift = second.scale * first.shift + second.shift
        first.scale = second.scale * first.scale
        first.bounded, first.written = second.bounded, False
        graph.merge(first, second)
        first.result = second.result
        left.remove(second)
        return True
    return False


def _is_read_once(graph: AffineGraph, tensor: Any) -> bool:
    return len(graph.readers(tensor)) == 1 and not graph.is_answer(tensor)


def _folded_behind(graph: AffineGraph, affine: Affine) -> bool:
    layer = graph.writer(affine.source)
    return layer is not None and _is_read_once(graph, affine.source) and graph.fold_behind(layer, affine)


def _folded_before(graph: AffineGraph, affine: Affine, left: list[Affine]) -> bool:
    """Into all that reads it, or into nothing."""
    if affine.bounded:
        return False
    nodes = {id(other.node): other for other in left if other is not affine}
    plan = _takers(graph, affine, nodes)
    if plan is None:
        return False
    for node, tensor, reached in plan:
        other = nodes.get(id(node))
        if other is None:
            graph.fold_before(node, tensor, reached)
        else:
            other.shift = other.scale * reached.shift + other.shift
            other.scale = other.scale * reached.scale
            other.written = False
    graph.bypass(affine)
    return True


def _takers(graph: AffineGraph, affine: Affine, affines: dict[int, Affine]) -> list[tuple[Any, Any, Affine]] | None:
    """(operator, tensor that it reads, what it takes); None if anything on the way does not take it."""
    plan: list[tuple[Any, Any, Affine]] = []
    waiting = [(affine.result, affine)]
    while waiting:
        tensor, reached = waiting.pop()
        if graph.is_answer(tensor) or not graph.readers(tensor):
            return None
        for node in graph.readers(tensor):
            if id(node) in affines or graph.takes(node, tensor, reached):
                plan.append((node, tensor, reached))
                continue
            behind = graph.passed(node, tensor, reached)
            if behind is None:
                return None
            waiting.append((graph.result(node), behind))
    return plan
