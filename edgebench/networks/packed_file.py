"""A packed file: a checkpoint whose weights (float32 arrays of two or more dimensions) are stored in a packing format.

    8 bytes                 b"edgepack"
    8 bytes, then as many   the format's name
    8 bytes, then as many   the checkpoint's head: JSON, as safetensors has it
    8 bytes, then as many   for each array, in the order of the checkpoint: packed, or as it is

The 8 bytes before each part are its length as uint64, little-endian. Neither torch nor safetensors is needed. Unpacking
restores the checkpoint byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import BadFile, UserError
from edgebench.networks import packing

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

MAGIC = b"edgepack"
LARGEST_BYTES = 1 << 32  # limit for a checkpoint: a packed file of a few bytes can claim any size
_ADVICE = "Make it again with `edgebench pack`, or use another copy"


@dataclass(frozen=True)
class Packed:
    """One way to store a checkpoint. weights_bytes: of what is packed; file_bytes: of the whole file.

    accuracy: of a lossy one, on the whole test split; None: lossless.
    """

    format: str
    weights_bytes: int
    file_bytes: int
    accuracy: float | None = None


@dataclass(frozen=True)
class Slot:
    """An array, as described by a checkpoint's header."""

    name: str
    shape: tuple[int, ...]
    size_bytes: int
    is_weight: bool


@dataclass(frozen=True)
class Stored:
    """A checkpoint. head: without its length. arrays: in the order of the file, as the slots."""

    head: bytes
    slots: tuple[Slot, ...]
    arrays: tuple[bytes, ...]

    @property
    def raw(self) -> bytes:
        return b"".join((len(self.head).to_bytes(8, "little"), self.head, *self.arrays))

    @property
    def weights_bytes(self) -> int:
        return sum(slot.size_bytes for slot in self.slots if slot.is_weight)

    def packed(self, format_: str) -> Stored:
        """The same checkpoint with other weight bytes."""
        pack = packing.load(format_).pack
        arrays = (
            pack(floats(array, slot.shape)) if slot.is_weight else array
            for slot, array in zip(self.slots, self.arrays, strict=True)
        )
        return replace(self, arrays=tuple(arrays))


def floats(array: bytes, shape: tuple[int, ...]) -> Float32Array:
    import numpy as np

    return np.frombuffer(array, "<f4").reshape(shape)


def split(raw: bytes) -> Stored:
    """A checkpoint's bytes, taken apart."""
    size = int.from_bytes(raw[:8], "little")
    head, body = raw[8 : 8 + size], raw[8 + size :]
    slots = _slots(head)
    ends = list(accumulate(slot.size_bytes for slot in slots))
    return Stored(head, slots, tuple(body[end - slot.size_bytes : end] for slot, end in zip(slots, ends, strict=True)))


def _slots(head: bytes) -> tuple[Slot, ...]:
    """Raises ValueError, TypeError, KeyError or msgspec's errors for an invalid header."""
    known: dict[str, Any] = msgspec.json.decode(head, type=dict[str, Any])
    known.pop("__metadata__", None)
    slots = []
    for name, entry in sorted(known.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        shape = tuple(entry["shape"])
        is_weight = entry["dtype"] == "F32" and len(shape) > 1
        if end < begin or (is_weight and 4 * prod(shape) != end - begin):
            raise ValueError(f"'{name}' has {end - begin} bytes, which does not fit its shape {shape}")
        slots.append(Slot(name, shape, end - begin, is_weight))
    return tuple(slots)


def _join(format_: str, stored: Stored) -> bytes:
    """A packed file's bytes."""
    parts = (format_.encode(), stored.head, *stored.arrays)
    return MAGIC + b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def unpacked(packed: bytes, where: str) -> bytes:
    """The checkpoint's bytes. Raises BadFile, which names `where`, MissingPackage and UnknownName."""
    try:
        if not packed.startswith(MAGIC):
            raise ValueError("wrong magic number")
        format_, head, *arrays = _parts(packed[len(MAGIC) :])
        slots = _slots(head)
        if sum(slot.size_bytes for slot in slots) > LARGEST_BYTES:
            raise ValueError(f"it claims to be larger than {LARGEST_BYTES:,} bytes")
        packing.require(format_.decode())
        unpack = packing.load(format_.decode()).unpack
        whole = (
            unpack(array, slot.shape).tobytes() if slot.is_weight else array
            for slot, array in zip(slots, arrays, strict=True)
        )
        return Stored(head, slots, tuple(whole)).raw
    except UserError:
        raise
    except Exception as error:  # every decoder raises its own errors for foreign bytes
        raise BadFile(where, f"it is not a packed checkpoint, or it is damaged ({error})", _ADVICE) from error


def _parts(packed: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(packed):
        end = start + 8 + int.from_bytes(packed[start : start + 8], "little")
        if end > len(packed):
            raise ValueError("unexpected end")
        yield packed[start + 8 : end]
        start = end


def verified(stored: Stored, format_: str) -> tuple[Packed, bytes]:
    """Its size, and the packed file's bytes, verified by unpacking them."""
    small = stored.packed(format_)
    packed = _join(format_, small)
    if unpacked(packed, format_) != stored.raw:
        raise RuntimeError(f"packing format {format_} is not lossless")
    weights = sum(len(array) for slot, array in zip(stored.slots, small.arrays, strict=True) if slot.is_weight)
    return Packed(format_, weights, len(packed)), packed
