"""Arrays with several labels or numbers for each image: x, and y [N, classes] of 0 and 1, or y of floats.

x_test and y_test, else x_val and y_val, are taken before x and y.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

from edgebench.errors import BadFile
from edgebench.networks.own_data import arrays
from edgebench.networks.own_data.annotations import AnnotatedImages, TargetKind
from edgebench.schema.preprocessing import Geometry


def load(path: Path, most: int | None) -> AnnotatedImages | None:
    """None for arrays with one class an image."""
    import numpy as np

    if path.suffix.lower() != ".npz":
        return None
    try:
        found = _pair(path)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise BadFile(str(path), f"it cannot be read ({error})", "See 'Arrays' in docs/own-data.md") from error
    if found is None:
        return None
    x, y = found
    many = y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "iub"
    if not many and y.dtype.kind != "f":
        return None
    x = arrays.checked_images(str(path), x)[:most]
    y = y[:most]
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise BadFile(str(path), f"y has the shape {list(y.shape)}; there are {len(x)} images", "Give one row an image")
    if not many and not np.isfinite(y).all():
        raise BadFile(str(path), "y has values that are not finite", "Leave such images out")
    if many and not np.isin(y, (0, 1)).all():
        raise BadFile(str(path), f"y has {y.shape[1]} columns of integers that are not 0 or 1", "Write 1 for a label")
    targets: Any = y.astype(bool) if many else y.reshape(len(y), -1).astype(np.float32)
    content = hashlib.sha256(x.tobytes() + targets.tobytes()).hexdigest()
    sizes = [(x.shape[2], x.shape[1])] * len(x)
    classes = tuple(str(number) for number in range(y.shape[1])) if many else ()
    kind: TargetKind = "labels" if many else "values"
    return AnnotatedImages(str(path), kind, x, list(targets), sizes, classes, content, Geometry())


def _pair(path: Path) -> tuple[Any, Any] | None:
    with arrays.opened(path) as found:
        names = [("x_test", "y_test"), ("x_val", "y_val"), ("x", "y")]
        pair = next((one for one in names if set(one) <= set(found)), None)
        return None if pair is None else (found[pair[0]], found[pair[1]])
