"""Packing formats, one file each: the file's name is what users type.

A format stores one array of float32 weights in fewer bytes if many of them are zeros, and gives back the same bits.
A plugin has

    pack(array) -> bytes
    unpack(packed, shape) -> array

    PACKAGE    what must be installed (extra `pack`), only if it needs anything

array: float32 of any shape. Lossless to the bit: -0.0, infinities and every NaN come back as they were; only +0.0,
whose bits are all zeros, counts as a zero. A packed file is for storing and sending; a runtime computes with all of it.

Helpers (underscore): _bits splits an array into what is not zero and where it stands; _canonical is Huffman's code.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Protocol, cast

from edgebench import plugins
from edgebench.errors import MissingPackage

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array


class Format(Protocol):
    def pack(self, array: Float32Array) -> bytes: ...
    def unpack(self, packed: bytes, shape: tuple[int, ...]) -> Float32Array: ...


def names() -> list[str]:
    return plugins.names("edgebench.networks.packing")


def load(name: str) -> Format:
    """Raises UnknownName."""
    return cast(Format, plugins.load("edgebench.networks.packing", name, kind="packing format"))


def missing_package(name: str) -> str | None:
    """What must be installed before this format can be used, if anything. Raises UnknownName."""
    package: str | None = getattr(load(name), "PACKAGE", None)
    return package if package and importlib.util.find_spec(package) is None else None


def require(name: str) -> None:
    """Raises UnknownName, and MissingPackage for a format that cannot be used here."""
    package = missing_package(name)
    if package:
        raise MissingPackage(f"packing format {name}", package, "pack")
