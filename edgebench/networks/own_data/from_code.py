"""Code of the user's: package.module:callable, run in this process because its name was typed here.

It returns one of these, or a mapping of "train", "validation", "test" to them (then nothing is split here):

    a torch Dataset     __len__ and __getitem__ -> (image, label); read when images are asked for
    a pair of arrays    x, y, as in a file of arrays
    an iterable         of (image, label); held in memory

An image is a Pillow image, bytes [H, W] or [H, W, C] (NumPy) or [C, H, W] (torch), or floats, fed as they are. Class
names are the data set's `classes`, where it has that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from edgebench.errors import BadFile
from edgebench.networks import named_function
from edgebench.networks.dataset import Dataset
from edgebench.networks.lazy_images import MOST_BYTES, LazyImages
from edgebench.networks.own_data import arrays, pictures
from edgebench.networks.own_data.listing import SPELLINGS, SplitName
from edgebench.schema.preprocessing import Geometry

if TYPE_CHECKING:
    from edgebench.networks.own_data.address import Address
    from edgebench.progress import Progress
    from edgebench.schema.arrays import Int64Array

_REMEDY = "Return a torch Dataset, arrays x and y, or an iterable of (image, label); see 'Code' in docs/own-data.md"


def load(where: Address, geometry: Geometry | None, channels: int | None, progress: Progress) -> Dataset:
    returned = named_function.load(where.where, where.where, "Name one that returns the data")()
    parts = dict(returned) if isinstance(returned, Mapping) else {None: returned}
    splits = {name: None if name is None else _split(where, str(name)) for name in parts}
    pairs = {name: part for name, part in parts.items() if _is_pair(part)}
    if len(pairs) == len(parts):
        return _of_pairs(where, pairs, splits, geometry)
    convert = _Convert(where.where, geometry or Geometry(), channels)
    source, given = _Items([]), []
    for name, part in parts.items():
        items = part if hasattr(part, "__len__") and hasattr(part, "__getitem__") else list(_iterated(where, part))
        source.parts.append(items)
        given += [splits[name]] * len(items)
    names = next((_class_names(part) for part in parts.values() if _class_names(part)), None)
    x, y = _walked(where, source, convert, progress)
    return arrays.from_arrays(where, x, y, None if None in parts else given, names, None, known=geometry)


def _split(where: Address, name: str) -> SplitName:
    if name.lower() not in SPELLINGS:
        raise BadFile(where.where, f"'{name}' is not a split", "Use train, validation and test")
    return SPELLINGS[name.lower()]


def _is_pair(part: Any) -> bool:
    return isinstance(part, tuple | list) and len(part) == 2 and all(hasattr(one, "shape") for one in part)


def _of_pairs(where: Address, pairs: dict[Any, Any], splits: dict[Any, Any], geometry: Geometry | None) -> Dataset:
    import numpy as np

    xs, ys = zip(*((np.asarray(x), np.asarray(y)) for x, y in pairs.values()), strict=True)
    given = None if None in pairs else [splits[name] for name, y in zip(pairs, ys, strict=True) for _ in y]
    try:
        x, y = np.concatenate(xs), np.concatenate(ys)
    except ValueError as error:
        raise BadFile(where.where, f"its splits do not fit each other ({error})", _REMEDY) from error
    return arrays.from_arrays(where, x, y, given, None, geometry)


def _iterated(where: Address, part: Any) -> Iterable[Any]:
    if not isinstance(part, Iterable):
        raise BadFile(where.where, f"it returned {type(part).__name__}", _REMEDY)
    return part


def _class_names(part: Any) -> list[str] | None:
    names = getattr(part, "classes", None)
    return [str(name) for name in names] if isinstance(names, list | tuple) and names else None


class _Items:
    """Several sequences, one behind the other."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, position: int) -> Any:
        for part in self.parts:
            if position < len(part):
                return part[position]
            position -= len(part)
        raise IndexError(position)


class _Convert:
    """Whatever an image is -> [H, W, C], bytes or float32."""

    def __init__(self, where: str, geometry: Geometry, channels: int | None) -> None:
        self.where, self._geometry, self._channels = where, geometry, channels

    def __call__(self, image: Any) -> Any:
        import numpy as np

        if hasattr(image, "convert") and hasattr(image, "mode"):
            return self._picture(image)
        of_torch = hasattr(image, "detach")
        pixels = image.detach().cpu().numpy() if of_torch else np.asarray(image)
        if pixels.ndim not in (1, 2, 3) or pixels.dtype.kind not in "fu" or pixels.dtype == np.uint16:
            seen = f"an image is {pixels.dtype} {list(pixels.shape)}"
            raise BadFile(self.where, seen, _REMEDY)
        if pixels.ndim == 3 and of_torch:
            pixels = pixels.transpose(1, 2, 0)
        elif pixels.ndim == 2:
            pixels = pixels[..., None]
        elif pixels.ndim == 1:
            pixels = pixels[None, None]
        if pixels.dtype == np.uint8:
            return pixels if self._geometry == Geometry() else pictures.in_geometry(pixels[None], self._geometry)[0]
        if not np.isfinite(pixels).all():
            raise BadFile(self.where, "an image has pixels that are not numbers (NaN or infinite)", "Replace them")
        return pixels.astype(np.float32)

    def _picture(self, image: Any) -> Any:
        import numpy as np

        self._channels = self._channels or (1 if pictures.is_grey(image.mode) else 3)
        ready = pictures.sized(pictures.in_channels(image, self._channels), self._geometry)
        return np.asarray(ready, np.uint8).reshape(ready.height, ready.width, self._channels)


class _CodeImages(LazyImages):
    in_threads = False  # nobody says that the user's code can be called by several at once

    def __init__(self, source: _Items, convert: _Convert, index: Int64Array, like: Any) -> None:
        super().__init__(index, like.shape, like.dtype.name)
        self._source, self._convert, self._like = source, convert, like

    def _of(self, index: Int64Array) -> Self:
        return type(self)(self._source, self._convert, index, self._like)

    def one(self, position: int) -> Any:
        return self._convert(self._source[position][0])


def _walked(where: Address, source: _Items, convert: _Convert, progress: Progress) -> tuple[Any, Any]:
    """Every image once: in memory if they are little, with all labels."""
    import numpy as np

    images, labels, like, kept = [], [], None, True
    with progress.step(f"read {where.where}", len(source)) as step:
        for position in range(len(source)):
            item = source[position]
            if not (isinstance(item, tuple | list) and len(item) == 2):
                raise BadFile(where.where, f"item {position} is not a pair of image and label", _REMEDY)
            pixels = convert(item[0])
            like = pixels if like is None else like
            if (pixels.shape, pixels.dtype) != (like.shape, like.dtype):
                raise BadFile(
                    where.where, f"image {position} is {pixels.dtype} {list(pixels.shape)}, the first "
                    f"{like.dtype} {list(like.shape)}", "Make them one size: --resize 256 --crop 224",
                )  # fmt: skip
            kept = kept and (position + 1) * pixels.nbytes <= MOST_BYTES
            if kept:
                images.append(pixels)
            else:
                images.clear()
            labels.append(_label(where, position, item[1]))
            step.advance()
    if like is None:
        raise BadFile(where.where, "it returned no images", _REMEDY)
    y = np.array(labels, np.int64)
    return (np.stack(images) if kept else _CodeImages(source, convert, np.arange(len(y)), like)), y


def _label(where: Address, position: int, label: Any) -> int:
    try:
        number = int(label)
    except (TypeError, ValueError) as error:
        raise BadFile(where.where, f"label {position} is {label!r}, not an integer", _REMEDY) from error
    if number != label:
        raise BadFile(where.where, f"label {position} is {label!r}, not an integer", _REMEDY)
    return number
