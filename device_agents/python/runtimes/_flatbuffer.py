"""A flatbuffer, read in place. Tables are places in it; fields have the numbers of its schema."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

# What reading a damaged one raises.
DAMAGE = (struct.error, IndexError)


class Flatbuffer:
    def __init__(self, content: bytes | memoryview | mmap.mmap) -> None:
        self._content = content

    def root(self) -> int:
        return self._at(0)

    def field(self, table: int, number: int) -> int:
        """Where a field is; 0 if the table has none."""
        known = table - self.unpack("<i", table)
        if known < 0 or 4 + 2 * number >= self.unpack("<H", known):
            return 0
        offset = self.unpack("<H", known + 4 + 2 * number)
        return table + offset if offset else 0

    def number(self, table: int, number: int, code: str) -> int:
        place = self.field(table, number)
        return self.unpack(code, place) if place else 0

    def table(self, table: int, number: int) -> int:
        """0 if it has none."""
        place = self.field(table, number)
        return self._at(place) if place else 0

    def tables(self, table: int, number: int) -> Iterator[int]:
        return map(self._at, self._places(table, number))

    def numbers(self, table: int, number: int) -> list[int]:
        """Of 4 bytes each."""
        return [self.unpack("<i", place) for place in self._places(table, number)]

    def bytes_of(self, table: int, number: int) -> bytes:
        place = self.field(table, number)
        return self._text(place) if place else b""

    def string(self, table: int, number: int) -> str:
        return self.bytes_of(table, number).decode("utf-8", "replace")

    def strings(self, table: int, number: int) -> list[str]:
        return [self._text(place).decode("utf-8", "replace") for place in self._places(table, number)]

    def unpack(self, code: str, at: int) -> int:
        if at < 0:
            raise IndexError
        value: int = struct.unpack_from(code, self._content, at)[0]
        return value

    def _at(self, place: int) -> int:
        return place + self.unpack("<I", place)

    def _places(self, table: int, number: int) -> Iterator[int]:
        """Of the entries of a list, which are 4 bytes each."""
        place = self.field(table, number)
        if place:
            start = self._at(place)
            count = self.unpack("<I", start)
            if 4 * count > len(self._content):
                raise IndexError
            for index in range(count):
                yield start + 4 + 4 * index

    def _text(self, place: int) -> bytes:
        start = self._at(place)
        size = self.unpack("<I", start)
        if start + 4 + size > len(self._content):
            raise IndexError
        return bytes(self._content[start + 4 : start + 4 + size])
