"""Array types by dtype, for annotations. This imports numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
# float64, one-dimensional, in order of time.
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
