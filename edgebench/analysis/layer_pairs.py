"""Two files of one network side by side, layer by layer: what each layer of the first became in the second.

The names of layers differ between runtimes and between a float file and its INT8 file, as runtimes fuse and rename;
their order does not. So the sequences of their kinds are aligned, and what has no counterpart has a row of its own:
conversions between float and integers, changes of layout, layers that were fused away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgebench.schema.layer_times import LayerTime

CONVERSION = "conversion"
# The first pattern that matches an operator's name says what kind of work it is; other operators are their own kind.
_KINDS = (
    (r"quantizelinear|^(?:de)?quantize|fakequantize|^cast$|^convert$|quantize_per|packing|_to_copy", CONVERSION),
    (r"^transpose$|reorder|^raster$|^permute|^contiguous", CONVERSION),
    (r"conv", "Conv"),
    (r"gemm|matmul|fully.?connected|innerproduct|^linear|addmm", "MatMul"),
    (r"globalaveragepool|reducemean|^mean|adaptive_avg|static reduce", "mean"),
    (r"pool", "pool"),
    (r"reshape|flatten|squeeze|^view", "shape"),
    (r"sigmoid|relu|clip|clamp|gelu|silu|swish|tanh|elu", "activation"),
)
_WEIGHTED = ("Conv", "MatMul")
_ADDED_TO_OPERATORS = re.compile(r"^(?:QLinear|Fused|Nhwc|Group)")


@dataclass(frozen=True)
class LayerPair:
    """first, second: None where it has no counterpart there."""

    first: LayerTime | None
    second: LayerTime | None

    @property
    def gained_ns(self) -> float:
        """How much less time the second takes."""
        return (self.first.ns if self.first else 0.0) - (self.second.ns if self.second else 0.0)

    @property
    def name(self) -> str:
        one = self.second or self.first
        assert one is not None
        return " + ".join(one.parents) or one.name

    @property
    def is_conversion(self) -> bool:
        return kind_of(self.second or self.first) == CONVERSION


def kind_of(layer: LayerTime | None) -> str:
    """The kind of work, whatever a runtime calls its operator."""
    assert layer is not None
    found = next((kind for pattern, kind in _KINDS if re.search(pattern, layer.kind.lower())), None)
    return found or _ADDED_TO_OPERATORS.sub("", layer.kind)


def pairs(first: Sequence[LayerTime], second: Sequence[LayerTime]) -> list[LayerPair]:
    """In the order in which they run: by the layers of the network that both compute where both say it, else by kind
    and order.
    """
    known = _by_parents(first, second)
    rest = [one for place, one in enumerate(first) if place not in known]
    paired = set(known.values())
    others = [one for place, one in enumerate(second) if place not in paired]
    aligned = {id(pair.first): pair.second for pair in _aligned(rest, others) if pair.first and pair.second}
    partner = {**{id(first[i]): second[j] for i, j in known.items()}, **aligned}
    taken = {id(one) for one in partner.values()}
    places = {id(one): float(place) for place, one in enumerate(second)}
    ordered, place = [], -1.0
    for one in first:
        other = partner.get(id(one))
        place = places[id(other)] if other else place + 1e-6
        ordered.append((place, LayerPair(one, other)))
    ordered += [(places[id(one)], LayerPair(None, one)) for one in second if id(one) not in taken]
    return [pair for _, pair in sorted(ordered, key=lambda one: one[0])]


def _by_parents(first: Sequence[LayerTime], second: Sequence[LayerTime]) -> dict[int, int]:
    """{place in the first: place in the second} of layers that compute the same layer of the network: the one with
    weights if there are several, and each once.
    """
    there: dict[str, list[int]] = {}
    for place, layer in enumerate(second):
        if kind_of(layer) != CONVERSION:
            for name in layer.parents:
                there.setdefault(name, []).append(place)
    found: dict[int, int] = {}
    ranked = sorted(range(len(first)), key=lambda place: kind_of(first[place]) not in _WEIGHTED)
    for place in ranked:
        kind = kind_of(first[place])
        if kind == CONVERSION:
            continue
        named = [other for name in first[place].parents for other in there.get(name, ())]
        free = [other for other in dict.fromkeys(named) if other not in found.values()]
        alike = [other for other in free if kind_of(second[other]) == kind]
        weighted = [other for other in free if kind in _WEIGHTED and kind_of(second[other]) in _WEIGHTED]
        if best := alike or weighted:
            found[place] = best[0]
    return found


def _aligned(first: Sequence[LayerTime], second: Sequence[LayerTime]) -> list[LayerPair]:
    """The alignment with the most layers of one kind opposite one another.

    Needleman and Wunsch (1970), without a cost for gaps; layers with weights count more than all that lies between two.
    """
    kinds = [[kind_of(layer) for layer in layers] for layers in (first, second)]
    best = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            together = best[i + 1][j + 1] + _worth(kinds[0][i], kinds[1][j])
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if _worth(kinds[0][i], kinds[1][j]) and best[i][j] == best[i + 1][j + 1] + _worth(kinds[0][i], kinds[1][j]):
            found.append(LayerPair(first[i], second[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            found.append(LayerPair(first[i], None))
            i += 1
        else:
            found.append(LayerPair(None, second[j]))
            j += 1
    return [*found, *(LayerPair(one, None) for one in first[i:]), *(LayerPair(None, one) for one in second[j:])]


def _worth(kind: str, other: str) -> int:
    if kind != other or kind == CONVERSION:
        return 0
    return 10 if kind in _WEIGHTED else 1
