"""Golden files: inputs as the artifact takes them, its own outputs, and those of the network it came from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgebench.files.replacing import write_whole
from edgebench.schema.bundle import FileRef, Golden, Precision, TensorSpec

COUNT = 32
MAX_BYTES = 8_000_000
MAX_RELATIVE_ERROR: dict[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.1}


def count(inputs: Sequence[TensorSpec]) -> int:
    """How many golden inputs: 32, or as many as fit in 8 MB as float32."""
    size = 4 * sum(math.prod(spec.shape) for spec in inputs)
    return max(1, min(COUNT, MAX_BYTES // max(size, 1)))


def write(
    folder: Path,
    name: str,
    precision: Precision,
    *,
    stored: Sequence[Any],
    expected: Sequence[Any],
    reference: Sequence[Any],
) -> Golden:
    """folder: the bundle's. name: the artifact file's stem. stored: for each input [N, ...] as the artifact takes it;
    expected, reference: for each output [N, ...].
    """
    (folder / "golden").mkdir(exist_ok=True)
    references = []
    for values in reference:
        content = _bytes(values)
        # Named by its content: artifacts made at another time may have answers that differ in the last bits.
        references.append(_put(folder, f"reference-{hashlib.sha256(content).hexdigest()[:8]}.bin", content))
    return Golden(
        count=len(stored[0]),
        inputs=_put_each(folder, f"{name}.input", map(_bytes, stored)),
        reference=tuple(references),
        expected=_put_each(folder, f"{name}.expected", map(_bytes, expected)),
        max_relative_error=(MAX_RELATIVE_ERROR[precision],) * len(expected),
    )


def _bytes(values: Any) -> bytes:
    """Little-endian."""
    content: bytes = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return content


def _put_each(folder: Path, name: str, contents: Iterable[bytes]) -> tuple[FileRef, ...]:
    """The first is called `name.bin`, the second `name-2.bin`, and so on."""
    return tuple(
        _put(folder, f"{name}{f'-{place}' if place > 1 else ''}.bin", content)
        for place, content in enumerate(contents, 1)
    )


def _put(folder: Path, name: str, content: bytes) -> FileRef:
    """Write, then rename: all artifacts share the reference, and several threads write them."""
    path = folder / "golden" / name
    write_whole(path, content)
    return FileRef(f"golden/{name}", hashlib.sha256(content).hexdigest(), len(content))
