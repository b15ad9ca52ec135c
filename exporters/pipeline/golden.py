"""Golden files: inputs as the artifact takes them, its own outputs, and those of the network it came from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.files.replacing import write_whole
from edgebench.schema.bundle import FileRef, Golden, Precision

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

COUNT = 32
MAX_BYTES = 8_000_000
MAX_RELATIVE_ERROR: dict[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.1}


def count(input_shape: tuple[int, ...]) -> int:
    """How many golden inputs: 32, or as many as fit in 8 MB as float32."""
    size = 4
    for length in input_shape:
        size *= length
    return max(1, min(COUNT, MAX_BYTES // size))


def write(
    folder: Path,
    name: str,
    precision: Precision,
    *,
    stored: Any,
    expected: Float32Array,
    reference: Float32Array,
) -> Golden:
    """folder: the bundle's. name: the artifact file's stem. stored: inputs as the artifact takes them, [N, ...]."""
    (folder / "golden").mkdir(exist_ok=True)
    reference_bytes = reference.astype("<f4").tobytes()
    return Golden(
        count=len(stored),
        inputs=_put(folder, f"{name}.input.bin", stored.astype(stored.dtype.newbyteorder("<")).tobytes()),
        # Named by its content: artifacts made at another time may have answers that differ in the last bits.
        reference=_put(folder, f"reference-{hashlib.sha256(reference_bytes).hexdigest()[:8]}.bin", reference_bytes),
        expected=_put(folder, f"{name}.expected.bin", expected.astype("<f4").tobytes()),
        max_relative_error=MAX_RELATIVE_ERROR[precision],
    )


def _put(folder: Path, name: str, content: bytes) -> FileRef:
    """Write, then rename: all artifacts share the reference, and several threads write them."""
    path = folder / "golden" / name
    write_whole(path, content)
    return FileRef(f"golden/{name}", hashlib.sha256(content).hexdigest(), len(content))
