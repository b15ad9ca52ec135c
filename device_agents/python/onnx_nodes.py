"""The nodes of an .onnx file, without any library, and which of them a runtime's layers compute."""

from __future__ import annotations

import mmap
import re

from .layer_names import layers_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    # name, operator, inputs, outputs
    Node = tuple[str, str, tuple[str, ...], tuple[str, ...]]


# What runtimes add to the names of nodes that they change or fuse.
_BEFORE = re.compile(r"^fused ")
_AFTER = re.compile(r"(?:/WithoutBiases|/DequantizationMultiply|_token_\d+|_nchwc|_quant|_output_0)+$")
_STORED = ("Constant", "QuantizeLinear", "DequantizeLinear")
_WEIGHTED = re.compile(r"Conv|Gemm|MatMul")
_GRAPH, _NODE = 7, 1
_INPUT, _OUTPUT, _NAME, _KIND = 1, 2, 3, 4
_LENGTH = 2


def read(path: str) -> list[Node]:
    """Of the main graph, in their order. Weights are passed over."""
    found = []
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:  # noqa: PTH123
        for number, start, end in _fields(content, 0, len(content)):
            if number == _GRAPH:
                found += [_node(content, a, b) for field, a, b in _fields(content, start, end) if field == _NODE]
    return found


def _node(content: mmap.mmap, start: int, end: int) -> Node:
    texts: dict[int, list[str]] = {_INPUT: [], _OUTPUT: [], _NAME: [""], _KIND: [""]}
    for number, a, b in _fields(content, start, end):
        if number in texts:
            texts[number].append(content[a:b].decode(errors="replace"))
    return texts[_NAME][-1], texts[_KIND][-1], tuple(texts[_INPUT]), tuple(texts[_OUTPUT])


def _fields(content: mmap.mmap, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each field with a length, of a message of protocol buffers."""
    while place < end:
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == _LENGTH:
            size, place = _varint(content, place)
            yield tag >> 3, place, min(end, place + size)
            place += size
        elif kind == 0:
            _, place = _varint(content, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError("not an ONNX file")


def _varint(content: mmap.mmap, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def parents(names: Sequence[str], nodes: Sequence[Node]) -> list[list[str]]:
    """For each layer of a runtime the layers of the file that it computes, in the file's order.

    A runtime names a layer after a node, or after a tensor that a node makes. A node that no layer is named after was
    fused: one with weights into what follows, as fusions begin with them, any other into what comes before.
    """
    by_name = {name: index for index, (name, *_) in enumerate(nodes) if name}
    maker = {output: index for index, (*_, outputs) in enumerate(nodes) for output in outputs}
    owner: dict[int, int] = {}
    for layer, name in enumerate(names):
        plain = _BEFORE.sub("", name)
        candidates = (plain, _AFTER.sub("", plain))
        index = next((one[key] for key in candidates for one in (by_name, maker) if key in one), None)
        if index is not None and nodes[index][1] not in _STORED:
            owner.setdefault(index, layer)
    _follow(nodes, maker, owner)
    found: list[list[str]] = [[] for _ in names]
    for index in sorted(owner):
        name, kind, _, outputs = nodes[index]
        if kind not in _STORED:
            # A quantised convolution makes the tensor of the activation that it was joined with.
            made = [layer for one in outputs if one.startswith("/") for layer in layers_of(_AFTER.sub("", one))]
            of = [*layers_of(name or (outputs[0] if outputs else "")), *made]
            found[owner[index]] = list(dict.fromkeys([*found[owner[index]], *of]))
    return found


def with_parents(layers: list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """The same layers, each with the file's that it computes; without them if the file is odd."""
    try:
        known = parents([one["name"] for one in layers], read(path))
    except (ValueError, IndexError, OSError):
        return layers
    return [{**one, "parents": of} for one, of in zip(layers, known)]


def _follow(nodes: Sequence[Node], maker: dict[str, int], owner: dict[int, int]) -> None:
    """Give the nodes without a layer of their own to that of a neighbour."""
    users: dict[int, int] = {}
    for index, (_, _, inputs, _) in enumerate(nodes):
        for one in inputs:
            if one in maker:
                users.setdefault(maker[one], index)
    for index in reversed(range(len(nodes))):
        if index not in owner and _WEIGHTED.search(nodes[index][1]) and users.get(index) in owner:
            owner[index] = owner[users[index]]
    for index, (_, _, inputs, _) in enumerate(nodes):
        before = next((maker[one] for one in inputs if maker.get(one) in owner), None)
        if index not in owner and before is not None:
            owner[index] = owner[before]
