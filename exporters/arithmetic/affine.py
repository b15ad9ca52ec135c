"""Folds operators that only scale and shift channels: separate batch norms, multiplications and additions.

Every converter folds a batch norm directly after a convolution. One before a convolution, or after a sum, a
concatenation, an activation or a pool, is left alone, and INT8 suits it badly: there is one scale for all channels, and
in TFLite a rounding for each of its four operators. Therefore, exactly up to the rounding of floats:

1. Two in a row are merged; one after a layer with weights becomes part of that layer.
2. One before layers with weights becomes part of them, if nothing else reads it and eight bits still represent their
   weights. Layers that pad with zeros take only scales, no shifts. Pooling and flattening may lie in between.
3. The rest become depthwise convolutions of 1 x 1, which have a scale for each channel.

Each format has its own graph: `onnx_edit.affine`, `tflite_edit.affine`. Numbers are float64 until they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

# How much the rounding error of weights may grow, as power, when a scale is folded into the next layer: if scales
# differ widely (pixels that are nearly always the same), most channels are left with few of the layer's steps.
LARGEST_GROWTH = 16.0
LEAST_SCALE = 1 / 4  # relative to the median: a channel scaled by less is not larger before scaling, it matters less
# Largest relative error of the outputs after folding; sums are added up in another order.
LARGEST_ERROR = 1e-4


@dataclass
class Affine:
    """y = scale * x + shift, each [channels], or [1] for all. source, result: tensors. bounded: an activation follows.

    node: its operator in the graph. norm: whether that is a batch norm. written: whether the node still has these
    numbers.
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
        """Whether INT8 suits it badly: anything but adding or multiplying one number for all channels."""
        return self.norm or not self.written or max(len(self.scale), len(self.shift)) > 1


class AffineGraph(Protocol):
    """Operators and tensors of one format, in the format's own types."""

    def affines(self) -> list[Affine]: ...

    def writer(self, tensor: Any) -> Any:
        """The operator that writes a tensor, None for an input of the network."""

    def readers(self, tensor: Any) -> list[Any]: ...

    def is_answer(self, tensor: Any) -> bool: ...

    def result(self, node: Any) -> Any: ...

    def fold_behind(self, node: Any, affine: Affine) -> bool:
        """Fold it into the preceding layer with weights, if possible; returns whether it was."""

    def takes(self, node: Any, tensor: Any, affine: Affine) -> bool:
        """Whether `fold_before` is exact, and `is_kind_to` the weights."""

    def fold_before(self, node: Any, tensor: Any, affine: Affine) -> None: ...

    def passed(self, node: Any, tensor: Any, affine: Affine) -> Affine | None:
        """The equivalent after an operator that commutes with it; None if it does not."""

    def bypass(self, affine: Affine) -> None:
        """Let its readers read its input."""

    def merge(self, first: Affine, second: Affine) -> None:
        """Remove `second`: its readers read the result of `first`."""

    def as_layer(self, affine: Affine) -> bool:
        """Write it as a depthwise convolution, or else with its current numbers; returns whether as the former."""


@dataclass
class Folded:
    """How many operators were found, and what became of them."""

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
        shown = ", ".join(f"{count} {where}" for count, where in parts if count)
        return f"{self.found} operators that scale or shift channels: {shown}"

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
    """Whether eight bits represent a layer's weights about as well after its input's scale is folded into them.

    weight: [..., channels, numbers], where each [channels, numbers] has one step; scale: [..., channels, 1]. Compares
    the error that rounding adds to the outputs with the outputs, as power. How large the channels are is not known: a
    scale is assumed to undo half of a difference. A weight of zero is exact.
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
    """Into all its readers, or none."""
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
    """(operator, its input tensor, what to fold in) for every reader; None if one of them does not take it."""
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
