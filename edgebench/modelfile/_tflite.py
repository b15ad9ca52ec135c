"""A .tflite file, a flatbuffer, read without the weights in it. Fields by number, as in TensorFlow Lite's schema."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from edgebench.modelfile._bytes import Damaged, text
from edgebench.modelfile._what import Input, ModelFile, Signature

IDENTIFIER = b"TFL3"
_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16",
)  # fmt: skip
POSTPROCESS = "TFLite_Detection_PostProcess"
_CUT_OFF = "not a TFLite network, or truncated"


def read(content: memoryview) -> ModelFile:
    """Raises Damaged."""
    if bytes(content[4:8]) != IDENTIFIER:
        raise Damaged("not a TFLite network")
    file = _File(content)
    model = file.at(0)
    file.check_buffers(model)
    subgraphs = list(file.tables(model, 2))
    if not subgraphs:
        raise Damaged("it contains no graph")
    signatures = tuple(_signatures(file, model, subgraphs))
    first = [one for one in signatures if one.subgraph == 0]
    inputs = first[0].inputs if first else ()
    known = {one.name: one.also for one in inputs}
    tensors = list(file.tables(subgraphs[0], 0))
    own = [_input(file, file.one(tensors, index)) for index in file.numbers(subgraphs[0], 1)]
    named = tuple(replace(one, also=known.get(one.name, ())) for one in own)
    outputs = tuple(_input(file, file.one(tensors, index)) for index in file.numbers(subgraphs[0], 2))
    custom = tuple(name for code in file.tables(model, 1) if (name := file.string(code, 1)))
    return ModelFile(
        inputs=named,
        signatures=signatures,
        subgraphs=len(subgraphs),
        custom=custom,
        outputs=outputs,
        postprocess=_postprocess(file, model, subgraphs[0]),
    )


def _signatures(file: _File, model: int, subgraphs: list[int]) -> Iterator[Signature]:
    for one in file.tables(model, 7):
        number = file.number(one, 4, "<I")
        tensors = list(file.tables(file.one(subgraphs, number), 0))
        inputs = [
            _input(file, file.one(tensors, file.number(entry, 1, "<I")), file.string(entry, 0))
            for entry in file.tables(one, 0)
        ]
        yield Signature(file.string(one, 2), number, tuple(inputs))


def _postprocess(file: _File, model: int, graph: int) -> tuple[int, ...]:
    codes = [file.string(code, 1) for code in file.tables(model, 1)]
    if POSTPROCESS not in codes:
        return ()
    shown = file.numbers(graph, 2)
    for operator in file.tables(graph, 3):
        made = file.numbers(operator, 2)
        if codes.index(POSTPROCESS) == file.number(operator, 0, "<I") and set(made[:4]) <= set(shown):
            return tuple(shown.index(tensor) for tensor in made[:4])
    return ()


def _input(file: _File, tensor: int, called: str = "") -> Input:
    stored = tuple(file.numbers(tensor, 0))
    signature = tuple(file.numbers(tensor, 7))
    sizes = signature if len(signature) == len(stored) else stored
    code = file.number(tensor, 1, "<B")
    dtype = _DTYPES[code] if code < len(_DTYPES) else f"type {code}"
    shape = tuple("" if size < 1 else size for size in sizes)
    name = file.string(tensor, 3)
    also = (called,) if called and called != name else ()
    return Input(name, shape, dtype, also, stored, *_quantised(file, tensor))


def _quantised(file: _File, tensor: int) -> tuple[float | None, int | None]:
    """Scale and zero point of a tensor that has one of each."""
    table = file.table(tensor, 4)
    scales = file.vector(table, 2, "f") if table else ()
    zeros = file.vector(table, 3, "q") if table else ()
    if len(scales) != 1 or len(zeros) > 1 or not 0 < scales[0] < math.inf:
        return None, None
    return scales[0], zeros[0] if zeros else 0


class _File:
    """Tables are referred to by the position where they begin."""

    def __init__(self, content: memoryview) -> None:
        self._content = content

    def number(self, table: int, field: int, form: str) -> int:
        """0 if it is omitted."""
        at = self._field(table, field)
        return self._unpack(form, at) if at else 0

    def string(self, table: int, field: int) -> str:
        at, count = self._vector(table, field, 1)
        return text(self._content[at : at + count])

    def numbers(self, table: int, field: int) -> list[int]:
        """A vector of 32-bit integers."""
        return list(self.vector(table, field, "i"))

    def vector(self, table: int, field: int, form: str) -> tuple[Any, ...]:
        """form: of one element, as in `struct`."""
        at, count = self._vector(table, field, struct.calcsize(form))
        return struct.unpack_from(f"<{count}{form}", self._content, at) if count else ()

    def table(self, table: int, field: int) -> int:
        """The position of a table in it; 0 if it is omitted."""
        at = self._field(table, field)
        return self.at(at) if at else 0

    def tables(self, table: int, field: int) -> Iterator[int]:
        at, count = self._vector(table, field, 4)
        for place in range(at, at + 4 * count, 4):
            yield self.at(place)

    def one(self, tables: list[int], index: int) -> int:
        if not 0 <= index < len(tables):
            raise Damaged(_CUT_OFF)
        return tables[index]

    def at(self, place: int) -> int:
        """The position that the offset at this place refers to."""
        return place + self._unpack("<I", place)

    def check_buffers(self, model: int) -> None:
        """Check that the file has all weights: they come last, so a truncated download lacks them. Raises Damaged."""
        for buffer in self.tables(model, 4):
            self._vector(buffer, 0, 1)
            offset, size = self.number(buffer, 1, "<Q"), self.number(buffer, 2, "<Q")
            if offset > 1 and offset + size > len(self._content):
                raise Damaged(_CUT_OFF)

    def _vector(self, table: int, field: int, width: int) -> tuple[int, int]:
        """The position of its first element, and its length."""
        at = self._field(table, field)
        if not at:
            return 0, 0
        begin = self.at(at)
        count = self._unpack("<I", begin)
        if begin + 4 + width * count > len(self._content):
            raise Damaged(_CUT_OFF)
        return begin + 4, count

    def _field(self, table: int, field: int) -> int:
        """Its position; 0 if it is omitted."""
        vtable = table - self._unpack("<i", table)
        slot = 4 + 2 * field
        offset = self._unpack("<H", vtable + slot) if slot < self._unpack("<H", vtable) else 0
        return table + offset if offset else 0

    def _unpack(self, form: str, at: int) -> int:
        if not 0 <= at <= len(self._content) - struct.calcsize(form):
            raise Damaged(_CUT_OFF)
        return int(struct.unpack_from(form, self._content, at)[0])
