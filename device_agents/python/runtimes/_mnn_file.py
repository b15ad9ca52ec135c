"""A .mnn file, a flatbuffer, read without the weights in it. Fields by number, as in MNN's schema."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

# Of an operator's kind, and of the data that it comes with.
_INPUT, _CONVOLUTION_DATA = 34, 9
_HALF = 3
_DTYPES = {0: "float32", 1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64"}


class MnnFile:
    """Raises ValueError for anything but a network of MNN."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        try:
            self._net = self._at(0)
            operators = list(self._tables(self._net, 3))
            names = [self._string(place) for place in self._places(self._net, 7)]
            self.inputs = [one for operator in operators for one in self._input(operator, names)]
            self.outputs = [self._string(place) for place in self._places(self._net, 4)]
            self.is_half = any(self._weights(operator) == _HALF for operator in operators)
        except (struct.error, IndexError):
            raise ValueError("not a network of MNN, or truncated") from None
        if not operators or not self.inputs:
            raise ValueError("not a network of MNN: it has no input")

    def _input(self, operator: int, names: list[str]) -> Iterator[tuple[str, list[int | None], str]]:
        """(name, sizes, dtype); a size that the file leaves open is None."""
        if self._number(operator, 5, "<i") != _INPUT:
            return
        data = self._table(operator, 2)
        sizes = self._numbers(data, 0) if data else []
        dtype = self._number(data, 1, "<i") if data else 0
        for place in self._numbers(operator, 4):
            shape = [size if size > 0 else None for size in sizes]
            yield names[place], shape, _DTYPES.get(dtype, "type %d" % dtype)

    def _weights(self, operator: int) -> int:
        """How the weights of a convolution are stored; 0 if as float32, and for other operators."""
        data = self._table(operator, 2)
        if not data or self._number(operator, 1, "<B") != _CONVOLUTION_DATA:
            return 0
        stored = self._table(data, 3)
        return self._number(stored, 2, "<i") if stored else 0

    def _unpack(self, code: str, at: int) -> int:
        value: int = struct.unpack_from(code, self._content, at)[0]
        return value

    def _at(self, place: int) -> int:
        return place + self._unpack("<I", place)

    def _field(self, table: int, number: int) -> int:
        """Where a field is; 0 if the table has none."""
        known = table - self._unpack("<i", table)
        if known < 0 or 4 + 2 * number >= self._unpack("<H", known):
            return 0
        offset = self._unpack("<H", known + 4 + 2 * number)
        return table + offset if offset else 0

    def _number(self, table: int, number: int, code: str) -> int:
        place = self._field(table, number)
        return self._unpack(code, place) if place else 0

    def _table(self, table: int, number: int) -> int:
        place = self._field(table, number)
        return self._at(place) if place else 0

    def _places(self, table: int, number: int) -> Iterator[int]:
        """Of the entries of a list, which are 4 bytes each."""
        place = self._field(table, number)
        if place:
            start = self._at(place)
            count = self._unpack("<I", start)
            if 4 * count > len(self._content):
                raise IndexError
            for index in range(count):
                yield start + 4 + 4 * index

    def _tables(self, table: int, number: int) -> Iterator[int]:
        return map(self._at, self._places(table, number))

    def _numbers(self, table: int, number: int) -> list[int]:
        return [self._unpack("<i", place) for place in self._places(table, number)]

    def _string(self, place: int) -> str:
        start = self._at(place)
        return self._content[start + 4 : start + 4 + self._unpack("<I", start)].decode("utf-8", "replace")
