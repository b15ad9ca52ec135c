"""Bytes of an image become a network's input here, to the bit as on the host (`schema/preprocessing.py`, `tensors.py`).

So one set of test images is sent for all files, a quarter as large as floats.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def prepared(data: bytes, how: dict[str, Any]) -> bytes:
    """how: shape (height, width, channels) of the bytes; factors and offsets of the channels; the input's layout, dtype
    and, if it is quantised or of whole numbers, scale and zero_point.
    """
    import numpy as np

    pixels = np.frombuffer(data, "uint8").reshape(how["shape"]).transpose(2, 0, 1).astype("float32", order="C")
    pixels *= np.array(how["factors"], "float32")[:, None, None]
    pixels += np.array(how["offsets"], "float32")[:, None, None]
    if how["layout"] == "NHWC":
        pixels = pixels.transpose(1, 2, 0)
    if "scale" in how:
        limits = np.iinfo(how["dtype"])
        pixels = np.clip(np.round(pixels / np.float32(how["scale"])) + how["zero_point"], limits.min, limits.max)
    return np.ascontiguousarray(pixels.astype(how["dtype"])).tobytes()
