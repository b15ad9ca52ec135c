"""Images that are decoded when they are asked for: they look like an array, and memory holds only what is in use.

images[3:8]        decodes five of them, in threads (Pillow lets go of Python's lock while it decodes)
images.pick(index) is these images, and still decodes none
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    from edgebench.schema.arrays import Int64Array, UInt8Array

    Images: TypeAlias = "UInt8Array | LazyImages"

# Above this a split is not kept decoded in memory.
MOST_BYTES = 400_000_000


class LazyImages(ABC):
    """size: (height, width, channels). index: which of the source's images these are."""

    def __init__(self, index: Int64Array, size: tuple[int, int, int], dtype: str = "uint8") -> None:
        import numpy as np

        self.index = index
        self.shape: tuple[int, int, int, int] = (len(index), *size)
        self.ndim = 4
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @abstractmethod
    def one(self, position: int) -> Any:
        """One image of the source, [H, W, C]; several threads ask at once."""

    @abstractmethod
    def _of(self, index: Int64Array) -> Self:
        """Other images of the same source."""

    @property
    def content(self) -> bytes:
        """What says which images these are without decoding them; empty if only they themselves do."""
        return b""

    def tobytes(self) -> bytes:
        return self[:].tobytes()

    @property
    def nbytes(self) -> int:
        count, height, width, channels = self.shape
        return count * height * width * channels * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> UInt8Array:
        import numpy as np

        chosen = np.atleast_1d(self.index[key])
        images = np.empty((len(chosen), *self.shape[1:]), self.dtype)

        def fill(place: int) -> None:
            images[place] = self.one(int(chosen[place]))

        if len(chosen) < 2 or not self.in_threads:
            for place in range(len(chosen)):
                fill(place)
        else:
            for _ in _threads().map(fill, range(len(chosen))):
                pass
        return images[0] if np.ndim(self.index[key]) == 0 else images

    in_threads = True

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self[:] if dtype is None else self[:].astype(dtype)

    def pick(self, index: Any) -> Self:
        return self._of(self.index[index])


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")


def in_memory(images: Images) -> Images:
    """Decoded at once where that is little, else as they are."""
    return images[:] if isinstance(images, LazyImages) and images.nbytes <= MOST_BYTES else images


def pieces(images: Images, size: int, change: Callable[[Any], Any] = lambda some: some) -> Iterator[Any]:
    """So many images at a time, changed; the next ones are decoded and changed while these are in use."""
    starts = range(0, len(images), size)
    if not isinstance(images, LazyImages):
        for start in starts:
            yield change(images[start : start + size])
        return
    decode: Callable[[int], Any] = lambda start: change(images[start : start + size])  # noqa: E731
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as ahead:
        coming = None
        for start in starts:
            some = decode(start) if coming is None else coming.result()
            coming = ahead.submit(decode, start + size) if start + size < len(images) else None
            yield some
