"""Preprocessing: how stored images become a network's input, bit-identical everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, UInt8Array


Side = Annotated[int, msgspec.Meta(ge=1, le=2**16)]
Interpolation = Literal["bilinear", "bicubic"]
# Around a letterboxed image, as in the YOLO family.
LETTERBOX_GREY = 114


class Geometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Images of any size -> bytes of one size: resized, then the middle cut out, as torchvision does to Pillow images.

    resize: (shorter side,) or (height, width). crop: (height, width). antialias: look at every old pixel that a new
    one covers; without it at the nearest two (bilinear) or four (bicubic) in each direction only. letterbox: (height,
    width), instead of both: the whole image, as large as fits without being stretched, in the middle of grey
    (LETTERBOX_GREY).
    """

    # Not a number or a pair: msgspec 0.22 crashes in the garbage collector after decoding such a union with limits.
    resize: Annotated[tuple[Side, ...], msgspec.Meta(min_length=1, max_length=2)] | None = None
    crop: tuple[Side, Side] | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    letterbox: tuple[Side, Side] | None = None

    def __post_init__(self) -> None:
        if self.letterbox and (self.resize or self.crop):
            raise ValueError("a letterbox excludes resizing and cutting")

    def __str__(self) -> str:
        parts = []
        if self.letterbox is not None:
            how = f"{self.interpolation}, {'' if self.antialias else 'not '}antialiased"
            parts.append(f"fitted into grey {'x'.join(map(str, self.letterbox))} ({how})")
        if self.resize is not None:
            what = "resized" if len(self.resize) == 2 else "shorter side resized"
            how = f"{self.interpolation}, {'' if self.antialias else 'not '}antialiased"
            parts.append(f"{what} to {'x'.join(map(str, self.resize))} ({how})")
        if self.crop is not None:
            parts.append(f"middle {'x'.join(map(str, self.crop))} cut out")
        return ", ".join(parts) or "as they are"


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Stored bytes -> network input: (byte / 255 - mean) / std, per channel.

    resize: (height, width) of the input if it differs from the images'. geometry: how images got their size as bytes,
    before all this; `apply` takes them as they are then.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: tuple[int, int] | None = None
    geometry: Geometry | None = None

    def __str__(self) -> str:
        parts = [] if self.geometry is None else [str(self.geometry)]
        if self.resize:
            parts.append(f"stretched to {self.resize[0]}x{self.resize[1]}")
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return "; ".join([*parts, f"(byte / 255 - mean) / std with mean {mean} and std {std}"])

    def apply(self, images: UInt8Array) -> Float32Array:
        """uint8 [N, H, W, C] -> float32 [N, C, H, W], contiguous."""
        import numpy as np

        # Bytes change places faster than floats, and the arithmetic is done in place: a sixth of the processor time.
        if self.resize and self.resize != images.shape[1:3]:
            pixels = np.ascontiguousarray(_resized(images.astype(np.float32), *self.resize).transpose(0, 3, 1, 2))
        elif images.shape[3] == 1:
            # A view: by its strides torch takes it for channels-last, as while training, and rounds convolutions alike.
            pixels = np.ascontiguousarray(images.astype(np.float32).transpose(0, 3, 1, 2))
        else:
            pixels = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")

        # One multiplication and one addition per channel, in float32, so that every user of it gets the same bits.
        factors, offsets = self.arithmetic()
        pixels *= factors[:, None, None]
        pixels += offsets[:, None, None]
        return pixels

    def arithmetic(self) -> tuple[Float32Array, Float32Array]:
        """By what the bytes of each channel are multiplied, and what is added then: float32 [channels]."""
        import numpy as np

        std = np.asarray(self.std, np.float64)
        return (1.0 / (255.0 * std)).astype(np.float32), (-np.asarray(self.mean, np.float64) / std).astype(np.float32)


def _resized(pixels: Float32Array, height: int, width: int) -> Float32Array:
    """Bilinear on [N, H, W, C], pixel centres at half numbers, edges repeated; like torch without antialiasing."""
    return _stretched(_stretched(pixels, 1, height), 2, width)


def _stretched(pixels: Float32Array, axis: int, size: int) -> Float32Array:
    """Each new pixel is a mean of the two old ones around its centre."""
    import numpy as np

    old = pixels.shape[axis]
    centre = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    lower = centre.astype(np.int64)
    upper = np.minimum(lower + 1, old - 1)
    share = (centre - lower).astype(np.float32).reshape(-1, *[1] * (pixels.ndim - 1 - axis))
    first: Float32Array = pixels.take(lower, axis)
    second = pixels.take(upper, axis)
    second -= first
    second *= share
    first += second
    return first
