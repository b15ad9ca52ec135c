"""A .tflite file as an object, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_ALIGNED_BYTES = 16
_FLATBUFFER_MAX_BYTES = 2_000_000_000


def read(path: Path) -> Any:
    """Weights become arrays: anything else the library writes byte by byte, which takes a second for 2 MB."""
    import numpy as np
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    return model


def write(model: Any, path: Path) -> None:
    """With weights where kernels may read them by whole registers, as converters place them."""
    import flatbuffers

    class Aligned(flatbuffers.Builder):  # type: ignore[misc]
        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
            large = elemSize * numElems >= _ALIGNED_BYTES
            return super().StartVector(elemSize, numElems, _ALIGNED_BYTES if large else alignment)

    builder = Aligned(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def gather(path: Path) -> None:
    """Take weights into the flatbuffer that the quantiser appended to it, in place: OpenVINO does not find them there.

    A flatbuffer has at most 2 GB.
    """
    if path.stat().st_size < _FLATBUFFER_MAX_BYTES:
        write(read(path), path)
