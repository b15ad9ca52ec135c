"""pack: the size of a checkpoint when its zeros are not stored, and files in which they are not.

The files are described in `networks/packed_file.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import BadFile, UserError
from edgebench.files import output
from edgebench.networks import packed_file, packing
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.packed_file import Packed
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint

if TYPE_CHECKING:
    pass

SUFFIX = ".edgepack"
DEFAULT_FORMAT = "huffman"


def sizes(source: Path, formats: Sequence[str] | None = None, *, shared_bits: int | None = None) -> list[Packed]:
    """Pack a checkpoint in each format, unpack and compare it, and return the sizes, the dense file first.

    formats: default: all that are installed. shared_bits: adds a lossy form, in which the weights of each layer share
    2**bits values, packed with huffman. Raises UserError, UnknownName, MissingPackage.
    """
    if shared_bits is not None and not 1 <= shared_bits <= 8:
        raise UserError("--bits", f"{shared_bits} is not between 1 and 8", "Give a number of bits, for example 5")
    if formats is None:
        formats = [name for name in packing.names() if not packing.missing_package(name)]
    for name in formats:
        packing.require(name)
    opened = checkpoint.load(source)
    stored = packed_file.split(source.read_bytes())
    found = [Packed("dense", stored.weights_bytes, len(stored.raw))]
    found += [packed_file.verified(stored, name)[0] for name in formats]
    if shared_bits is not None:
        found.append(_shared(opened, stored, shared_bits))
    return found


def pack(source: Path, out: Path, format_: str = DEFAULT_FORMAT) -> Path:
    """A checkpoint -> a packed file. Raises UserError, UnknownName, MissingPackage."""
    packing.require(format_)
    output.make_folder(out.parent)
    output.check(out)
    checkpoint.load(source)
    _, packed = packed_file.verified(packed_file.split(source.read_bytes()), format_)
    output.write(out, packed)
    return out


def unpack(source: Path, out: Path | None = None) -> Checkpoint:
    """A packed file -> the original checkpoint. out: see `checkpoint.new_path`. Raises BadFile, MissingPackage."""
    try:
        packed = source.read_bytes()
    except OSError as error:
        raise BadFile(str(source), f"it cannot be read ({error.strerror})", "Check the path") from error
    raw = packed_file.unpacked(packed, str(source))
    checkpoint.verified_digest(raw, source)
    path = checkpoint.new_path(source.stem, out)
    output.write(path, raw)
    return checkpoint.load(path)


# ------------------------------------------------------------------ lossy


def _shared(opened: Checkpoint, stored: packed_file.Stored, bits: int) -> Packed:
    """Shared weights in Huffman's code, with the accuracy of a network that has them."""
    import torch

    from edgebench.networks import data, training, weight_sharing

    network = rebuild(opened)
    state = network.state_dict()
    arrays = []
    for slot, array in zip(stored.slots, stored.arrays, strict=True):
        if slot.is_weight:
            shared = weight_sharing.share(packed_file.floats(array, slot.shape), bits)
            state[slot.name].copy_(torch.from_numpy(shared))
            array = shared.tobytes()
        arrays.append(array)
    about = opened.about
    metrics = training.evaluate(network, data.prepared(about.dataset, about.preprocessing).test, about.preprocessing)
    packed, _ = packed_file.verified(replace(stored, arrays=tuple(arrays)), DEFAULT_FORMAT)
    return replace(packed, format=f"shared {bits}-bit", accuracy=metrics.accuracy)
