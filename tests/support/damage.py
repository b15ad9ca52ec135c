"""Damage to JSON files: every part of a tree replaced in every way, and bytes cut off or changed."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

HUGE = "1" + "0" * 400
# What json.dumps cannot write: put in where this text stands.
_RAW = {"<huge>": HUGE, "<nan>": "NaN", "<infinity>": "-Infinity", "<deep>": "[" * 100_000 + "]" * 100_000}
GONE = object()


def replacements(value: Any) -> Iterator[Any]:
    """What may replace a value in a damaged file."""
    yield from (GONE, None, "", [], {}, True, 0, 1, -1, 0.5, 10**30, 1e300, -1e300, 5e-324)
    yield from ("<huge>", "<nan>", "<infinity>")
    yield from ("x", "\x1b[2J\x07", "../../etc/passwd", "nul\0", "'; --", "\ud7ff\U0001f600" * 50, "a" * 200_000)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (-value, value * 10**6, value * 1e-6, str(value), [value], 2**63, -(2**63) - 1)
    elif isinstance(value, str):
        yield from (
            value[:-1],
            value + "=",
            value[: len(value) // 2],
            value * 2,
            7,
            [value],
            "AAAA",
            "AAAAAAAA",
            "====",
        )
    elif isinstance(value, list):
        yield from (value[:1], value[:-1], value + value, value[::-1], [None], [value], {"0": value}, value * 3)
    elif isinstance(value, dict):
        yield from ({**value, "foreign": 1}, [value], {str(key) + "x": one for key, one in value.items()})


def paths(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every node; of a long list of numbers the first three and the last."""
    yield above
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from paths(value, (*above, key))
    elif isinstance(tree, list):
        for index in range(len(tree)) if len(tree) < 5 else (0, 1, 2, len(tree) - 1):
            yield from paths(tree[index], (*above, index))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def replaced(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the tree with another value at the path; GONE takes it out."""
    if not path:
        return None if value is GONE else value
    changed = copy.copy(tree)
    if len(path) == 1 and value is GONE:
        del changed[path[0]]
    else:
        changed[path[0]] = replaced(tree[path[0]], path[1:], value)
    return changed


def encoded(tree: Any) -> bytes:
    text = json.dumps(tree)
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode()


def damaged(tree: Any, *, one_in: int = 1) -> Iterator[tuple[str, bytes]]:
    """(what was done, the file) for every node and everything that may stand there instead, or for one in so many of
    that, others at each node.
    """
    for number, path in enumerate(paths(tree)):
        for value in itertools.islice(replacements(at(tree, path)), number % one_in, None, one_in):
            shown = "gone" if value is GONE else repr(value)[:40]
            yield f"{'.'.join(map(str, path))} = {shown}", encoded(replaced(tree, path, value))


def broken(data: bytes, chance: random.Random) -> bytes:
    """The bytes of a file after a disk error, a full disk or a bad edit."""
    kind = chance.randrange(7)
    where = chance.randrange(len(data) + 1)
    if kind == 0:
        return data[:where]
    if kind == 1:
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 9)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return bytes(changed)
    if kind == 2:
        return data[:where] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40))) + data[where:]
    if kind == 3:
        length = chance.randrange(1, 4096)
        return data[:where] + bytes(length) + data[where + length :]
    if kind == 4:
        return data[where:] + data[:where]
    if kind == 5:
        return data.replace(b'":', b'":-' if chance.random() < 0.5 else b'":[', chance.randrange(1, 4))
    return b"\xef\xbb\xbf" + data if chance.random() < 0.5 else data.decode("utf-8", "replace").encode("utf-16")
