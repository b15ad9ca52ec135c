"""Packing formats, one file each: the file's name is what users type.

A format stores one array of float32 weights in fewer bytes if many of them are zero, and restores the same bits.
A plugin has

    pack(array) -> bytes
    unpack(packed, shape) -> array

    PACKAGE    the package that it needs (extra `pack`), if any

array: float32 of any shape. Lossless to the bit: -0.0, infinities and every NaN are restored exactly; only +0.0, whose
bits are all zero, counts as zero. A packed file is for storage and transfer; a runtime computes with every weight.

Helpers (underscore): _bits splits an array into non-zero values and positions; _canonical is Huffman's code.
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
    """The package that this format needs and that is not installed, if any. Raises UnknownName."""
    package: str | None = getattr(load(name), "PACKAGE", None)
    return package if package and importlib.util.find_spec(package) is None else None


def require(name: str) -> None:
    """Raises UnknownName, and MissingPackage for a format that cannot be used here."""
    package = missing_package(name)
    if package:
        raise MissingPackage(f"packing format {name}", package, "pack")
