"""A .onnx file, a protobuf message, read without the weights in it. Fields by number, as in onnx.proto."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.modelfile._bytes import Damaged, fields, text
from edgebench.modelfile._what import Input, ModelFile

_DEEPEST = 50  # nested subgraphs
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
_NO_TENSORS = {4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}


def read(content: memoryview) -> ModelFile:
    """Raises Damaged."""
    ir_version, graph, declared = 0, None, {}
    for number, value in fields(content):
        if number == 1 and isinstance(value, int):
            ir_version = value
        elif number == 7 and isinstance(value, memoryview):
            graph = value
        elif number == 14 and isinstance(value, memoryview):
            key, entry = _pair(value)
            declared[key] = entry
    if not ir_version or graph is None:
        raise Damaged("not an ONNX network")
    kept, inputs, outputs, steps = set(), [], [], 0
    for number, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == 5:
            kept.add(_name_of_tensor(value))
        elif number == 11:
            inputs.append(_input(value))
        elif number == 12:
            outputs.append(_input(value))
        elif number == 1:
            steps += 1
    if not steps:
        raise Damaged("it contains no operator")
    return ModelFile(
        # Old files list their weights among the inputs.
        inputs=tuple(one for one in inputs if one.name not in kept),
        external=tuple(dict.fromkeys(_locations_in_graph(graph, _DEEPEST))),
        declared=declared,
        outputs=tuple(outputs),
    )


def _pair(entry: memoryview) -> tuple[str, str]:
    found = {number: text(value) for number, value in fields(entry) if isinstance(value, memoryview)}
    return found.get(1, ""), found.get(2, "")


def _name_of_tensor(tensor: memoryview) -> str:
    return next((text(value) for number, value in fields(tensor) if number == 8 and not isinstance(value, int)), "")


def _input(info: memoryview) -> Input:
    name, shape, dtype = "", None, "unknown"
    for number, value in fields(info):
        if number == 1 and isinstance(value, memoryview):
            name = text(value)
        elif number == 2 and isinstance(value, memoryview):
            shape, dtype = _type(value)
    return Input(name, shape, dtype)


def _type(stored: memoryview) -> tuple[tuple[int | str, ...] | None, str]:
    """Shape and dtype."""
    for number, kind in fields(stored):
        if number in _NO_TENSORS:
            return (), _NO_TENSORS[number]
        if number == 1 and isinstance(kind, memoryview):
            shape, dtype = None, "unknown"
            for inner, value in fields(kind):
                if inner == 1 and isinstance(value, int):
                    dtype = _DTYPES.get(value, f"type {value}")
                elif inner == 2 and isinstance(value, memoryview):
                    sizes = [size for place, size in fields(value) if place == 1 and isinstance(size, memoryview)]
                    shape = tuple(map(_size, sizes))
            return shape, dtype
    return None, "unknown"


def _size(stored: memoryview) -> int | str:
    """An unknown size is omitted, named, 0 or -1, depending on the exporter."""
    name = ""
    for number, value in fields(stored):
        if number == 1 and isinstance(value, int) and 0 < value < 1 << 63:
            return value
        if number == 2 and isinstance(value, memoryview):
            name = text(value)
    return name


def _locations_in_graph(graph: memoryview, depth: int) -> Iterator[str]:
    if not depth:
        raise Damaged(f"it has more than {_DEEPEST} nested graphs")
    for number, value in fields(graph):
        if number == 5 and isinstance(value, memoryview):
            yield from _locations(value)
        elif number == 15 and isinstance(value, memoryview):
            for _, part in fields(value):
                if isinstance(part, memoryview):
                    yield from _locations(part)
        elif number == 1 and isinstance(value, memoryview):
            for inner, attribute in fields(value):
                if inner == 5 and isinstance(attribute, memoryview):
                    yield from _locations_in_attribute(attribute, depth)


def _locations_in_attribute(attribute: memoryview, depth: int) -> Iterator[str]:
    for number, value in fields(attribute):
        if isinstance(value, memoryview):
            if number in (5, 10):
                yield from _locations(value)
            elif number in (6, 11):
                yield from _locations_in_graph(value, depth - 1)


def _locations(tensor: memoryview) -> Iterator[str]:
    """The file names of a tensor whose data are in another file."""
    outside, named = False, []
    for number, value in fields(tensor):
        if number == 14:
            outside = value == 1
        elif number == 13 and isinstance(value, memoryview):
            key, entry = _pair(value)
            if key == "location":
                named.append(entry)
    if outside:
        yield from named
