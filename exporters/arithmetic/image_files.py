"""Images that several processes read: an .npy file of pixels, or for a large set a list of the files that they are in.

A list costs each process its own decoding, and nobody the memory: 50,000 images of 224 x 224 are 7.5 GB as pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.networks.lazy_images import MOST_BYTES, LazyImages, pieces
from edgebench.networks.own_data.pictures import ImageFiles
from edgebench.schema.preprocessing import Geometry
from edgebench.schema.tensors import to_layout, to_stored

if TYPE_CHECKING:
    from edgebench.networks.lazy_images import Images
    from edgebench.schema.arrays import Int64Array
    from edgebench.schema.bundle import TensorSpec
    from edgebench.schema.preprocessing import Preprocessing

LIST = ".files.json"
PIECE = 64


class _List(msgspec.Struct, frozen=True):
    files: list[str]
    digests: list[str]
    size: tuple[int, int, int]
    geometry: Geometry


def write(folder: Path, name: str, images: Images) -> Path:
    """Put images where other processes can `read` them."""
    import numpy as np

    if isinstance(images, ImageFiles) and images.nbytes > MOST_BYTES:
        path = folder / f"{name}{LIST}"
        path.write_bytes(msgspec.json.encode(images.listing()))
        return path
    path = folder / f"{name}.npy"
    if isinstance(images, LazyImages):
        with path.open("wb") as stream:
            header = {"descr": images.dtype.str, "fortran_order": False, "shape": images.shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for some in pieces(images, PIECE):
                stream.write(some.tobytes())
    else:
        np.save(path, images, allow_pickle=False)
    return path


def read(path: Path) -> Images:
    """As an array that is read, or decoded, where it is asked."""
    import numpy as np

    if not path.name.endswith(LIST):
        images: Images = np.load(path, mmap_mode="r", allow_pickle=False)
        return images
    return _listed(path)


@lru_cache(2)
def _listed(path: Path) -> ImageFiles:
    import numpy as np

    found = msgspec.json.decode(path.read_bytes(), type=_List)
    return ImageFiles(found.files, found.digests, np.arange(len(found.files)), found.size, found.geometry)


def take(path: Path, index: Int64Array, name: str) -> Path:
    """Some of the images of a file, in one of their own beside it."""
    images = read(path)
    some = images.pick(index) if isinstance(images, LazyImages) else images[index]
    return write(path.parent, name, some)


def each_batch(file: Path, preprocessing: Preprocessing | None, spec: TensorSpec, size: int) -> Iterator[Any]:
    """Images as an artifact takes them, [size, ...], and at last those left. file: see `pipeline.samples`."""
    for some in _pieces(file, size):
        if spec.folded:
            yield to_layout(some.transpose(0, 3, 1, 2), spec)
        else:
            yield to_stored(preprocessing.apply(some) if preprocessing else some, spec)


def _pieces(file: Path, size: int) -> Iterator[Any]:
    """A few images at a time: preparing them one by one takes as long as a small network takes to answer."""
    import numpy as np

    for some in pieces(read(file), size):
        yield np.array(some)
