"""Reading untrusted bytes: any reference outside them is damage."""

from __future__ import annotations

from collections.abc import Iterator

MOST_BYTES_OF_A_VARINT = 10


class Damaged(Exception):
    """The message says what was seen, without a full stop."""


def text(content: memoryview) -> str:
    return bytes(content).decode(errors="replace")


def fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of every field of a protobuf message, in order: a whole number, or bytes."""
    at, end = 0, len(content)
    while at < end:
        key, at = varint(content, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Damaged("not an ONNX network")
        if kind == 0:
            value, at = varint(content, at)
            yield number, value
            continue
        if kind == 2:
            size, at = varint(content, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Damaged("not an ONNX network")
        if size > end - at:
            raise Damaged(f"not an ONNX network, or truncated: {size - (end - at):,} bytes are missing")
        yield number, content[at : at + size]
        at += size


def varint(content: memoryview, at: int) -> tuple[int, int]:
    """The number, and the position after it."""
    value = shift = 0
    for index in range(at, min(at + MOST_BYTES_OF_A_VARINT, len(content))):
        byte = content[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise Damaged("not an ONNX network, or truncated")
