"""One image file -> bytes [height, width, channels], and many of them as an array that decodes when asked.

The pixels are those of torchvision's ImageFolder, Resize and CenterCrop on Pillow images, but for two kinds of file
that those read wrongly: a turned photograph (EXIF orientation) is turned upright, and 16 bits become their upper 8
instead of being cut off at 255. Transparency is dropped: what is stored below it shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.networks.lazy_images import LazyImages
from edgebench.schema.preprocessing import LETTERBOX_GREY, Geometry

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgebench.schema.arrays import Int64Array, UInt8Array

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp")
# Pillow tries these and no others: some of its readers start programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
# In a mask: pixels that are not scored.
NO_CLASS = 255
GREY_MODES = ("1", "L", "LA", "La", "I", "F")


def require_pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackage("images", "pillow", "train") from error


def is_grey(mode: str) -> bool:
    return mode in GREY_MODES or mode.startswith("I;16")


def upright(image: Image) -> Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def in_channels(image: Image, channels: int) -> Image:
    """8 bits a channel, grey or RGB."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, in 32 where Pillow is old
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def sized(image: Image, geometry: Geometry, *, mask: bool = False) -> Image:
    """mask: of classes, which are not to be mixed; what an image does not cover becomes NO_CLASS."""
    width, height = resized_size(image.size, geometry)
    if (width, height) != image.size:
        image = image.resize((width, height), 0) if mask else _resized(image, width, height, geometry)
    if geometry.letterbox is not None:
        return _boxed(image, geometry.letterbox, NO_CLASS if mask else LETTERBOX_GREY)
    if geometry.crop is not None:
        rows, columns = geometry.crop
        top, left = round((height - rows) / 2), round((width - columns) / 2)
        image = image.crop((left, top, left + columns, top + rows))
    return image


def _boxed(image: Image, size: tuple[int, int], grey: int) -> Image:
    from PIL import Image

    whole = Image.new(image.mode, (size[1], size[0]), grey if len(image.getbands()) == 1 else (grey,) * 3)
    whole.paste(image, _margins(image.size, size))
    return whole


def _margins(inner: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Left and top. inner: (width, height); size: (height, width)."""
    return (size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2


def placement(size: tuple[int, int], geometry: Geometry) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an image of `size` (width, height) is in the network's input: factors and offsets, x and y each."""
    width, height = resized_size(size, geometry)
    left = top = 0
    if geometry.letterbox is not None:
        left, top = _margins((width, height), geometry.letterbox)
    elif geometry.crop is not None:
        rows, columns = geometry.crop
        top, left = -round((height - rows) / 2), -round((width - columns) / 2)
    return (width / size[0], height / size[1]), (left, top)


def resized_size(size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """(width, height) before the cut, or without the grey around it."""
    width, height = size
    if geometry.letterbox is not None:
        factor = min(geometry.letterbox[0] / height, geometry.letterbox[1] / width)
        return max(1, round(width * factor)), max(1, round(height * factor))
    if geometry.resize is None:
        return size
    if len(geometry.resize) == 2:
        return geometry.resize[1], geometry.resize[0]
    shorter, longer = geometry.resize[0], int(geometry.resize[0] * max(size) / min(size))
    return (shorter, longer) if width <= height else (longer, shorter)


def final_size(size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """(height, width) of an image of `size` (width, height)."""
    width, height = resized_size(size, geometry)
    return geometry.letterbox or geometry.crop or (height, width)


def _resized(image: Image, width: int, height: int, geometry: Geometry) -> Image:
    from PIL import Image

    how = Image.Resampling.BICUBIC if geometry.interpolation == "bicubic" else Image.Resampling.BILINEAR
    if geometry.antialias:
        return image.resize((width, height), how)
    scale = (image.width / width, 0, 0, 0, image.height / height, 0)
    return image.transform((width, height), Image.Transform.AFFINE, scale, how)


class ImageFiles(LazyImages):
    """files: of the whole source, with sha256 over each, in hexadecimal."""

    def __init__(
        self,
        files: Sequence[str],
        digests: Sequence[str],
        index: Int64Array,
        size: tuple[int, int, int],
        geometry: Geometry,
    ) -> None:
        super().__init__(index, size)
        self._files, self._digests, self._geometry = files, digests, geometry

    def _of(self, index: Int64Array) -> Self:
        return type(self)(self._files, self._digests, index, self.shape[1:], self._geometry)

    def one(self, position: int) -> UInt8Array:
        import numpy as np
        from PIL import Image

        file = self._files[position]
        try:
            with Image.open(file, formats=FORMATS) as image:
                ready = sized(in_channels(upright(image), self.shape[3]), self._geometry)
                pixels: UInt8Array = np.asarray(ready, np.uint8).reshape(ready.height, ready.width, -1)
        except (OSError, SyntaxError, ValueError) as error:
            raise BadFile(
                file, f"it is no longer the image that it was ({error})", "Leave the data set as it is"
            ) from error
        if pixels.shape != self.shape[1:]:
            raise BadFile(file, "it has another size than when it was looked at", "Leave the data set as it is")
        return pixels

    @property
    def content(self) -> bytes:
        import PIL

        whole = hashlib.sha256(f"{self.shape} {self._geometry} Pillow {PIL.__version__}".encode())
        for position in self.index:
            whole.update(bytes.fromhex(self._digests[position]))
        return whole.digest()

    def listing(self) -> dict[str, Any]:
        """What another process needs to decode the same images."""
        return {
            "files": [self._files[position] for position in self.index],
            "digests": [self._digests[position] for position in self.index],
            "size": list(self.shape[1:]),
            "geometry": self._geometry,
        }


class Resized(LazyImages):
    """Images of an array, in another geometry."""

    def __init__(self, images: UInt8Array, index: Int64Array, size: tuple[int, int, int], geometry: Geometry) -> None:
        super().__init__(index, size)
        self._images, self._geometry = images, geometry

    def _of(self, index: Int64Array) -> Self:
        return type(self)(self._images, index, self.shape[1:], self._geometry)

    def one(self, position: int) -> UInt8Array:
        import numpy as np
        from PIL import Image

        pixels = self._images[position]
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return np.asarray(sized(image, self._geometry)).reshape(self.shape[1:])


def in_geometry(images: Any, geometry: Geometry) -> Resized:
    """uint8 [N, H, W, C]. Raises UserError where the cut is larger than the images, or channels are neither 1 nor 3."""
    import numpy as np

    require_pillow()
    height, width, channels = images.shape[1:]
    if channels not in (1, 3) or images.dtype != np.uint8:
        raise UserError("--resize", f"images of {channels} channels, {images.dtype}, cannot be resized", "Leave it out")
    refuse_small((width, height), geometry, "the images")
    return Resized(images, np.arange(len(images)), (*final_size((width, height), geometry), channels), geometry)


def refuse_small(size: tuple[int, int], geometry: Geometry, where: str) -> None:
    width, height = resized_size(size, geometry)
    if geometry.crop is not None and (height < geometry.crop[0] or width < geometry.crop[1]):
        raise UserError(
            where,
            f"{height}x{width} pixels (height x width) before the cut, --crop takes "
            f"{'x'.join(map(str, geometry.crop))} out of them",
            f"Add --resize {max(geometry.crop)}, or crop less",
        )
