"""Arrays: one .npz with x, y and, where wanted, split; or x.npy beside y.npy.

    x      uint8 [N, H, W, C] or [N, H, W]; float32 or float64 of these shapes, or [N, features], fed as they are
    y      integers [N], from 0
    split  "train", "validation" or "test" [N]; or x_train, y_train, x_test, y_test (and x_val, y_val) instead

Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, UserError
from edgebench.networks.dataset import Dataset, Split
from edgebench.networks.lazy_images import LazyImages
from edgebench.networks.own_data import pictures, splits
from edgebench.networks.own_data.listing import (
    MOST_CLASSES,
    SPELLINGS,
    SPLITS,
    Listing,
    SplitName,
    refuse_class_count,
    refuse_empty_classes,
)
from edgebench.networks.own_data.made import made

if TYPE_CHECKING:
    from edgebench.networks.own_data.address import Address
    from edgebench.progress import Progress
    from edgebench.schema.preprocessing import Geometry

_REMEDY = "See 'Arrays' in docs/own-data.md"
# The split of each image, or None where the data does not say.
Splits = list[SplitName | None] | None
# How many images are searched for NaN and infinity at a time.
_PIECE = 1024


def load(where: Address, geometry: Geometry | None, progress: Progress, *, scored: bool) -> Dataset:
    with progress.step(f"read {where.path.name}"):
        x, y, given, names = _read(where.path)
        return from_arrays(where, x, y, given, names, geometry, scored=scored)


def from_arrays(
    where: Address,
    x: Any,
    y: Any,
    given: Splits,
    class_names: list[str] | None,
    geometry: Geometry | None,
    *,
    known: Geometry | None = None,
    scored: bool = False,
) -> Dataset:
    """given: a split for each image, None to have them cut by content. known: the geometry that images have already.

    Raises BadFile, UserError.
    """
    import numpy as np

    x = x if isinstance(x, LazyImages) else checked_images(where.where, np.asanyarray(x))
    y = _labels(where.where, np.asarray(y), len(x))
    names = class_names or [str(number) for number in range(int(y.max()) + 1)]
    refuse_class_count(where.where, len(names))
    if int(y.max()) >= len(names):
        raise UserError(where.where, f"label {y.max()} stands for no class, there are {len(names)}", _REMEDY)
    listing = Listing(names, [f"image {number}" for number in range(len(x))], y.tolist(), given or [None] * len(x))
    learnt = [label for label, split in zip(listing.labels, listing.splits, strict=True) if split in (None, "train")]
    if not learnt and not scored:
        raise BadFile(where.where, "no image is of the split 'train'", _REMEDY)
    if learnt:
        refuse_empty_classes(where.where, names, learnt)
    digests = [hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest() for one in x]
    chosen = np.array(splits.fill(where.where, listing, digests, where.seed))
    images = x if geometry is None else pictures.in_geometry(x, geometry)

    def split(name: str) -> Split:
        index = np.flatnonzero(chosen == name)
        some = images.pick(index) if isinstance(images, LazyImages) else images[index]
        return Split(some, y[index], index)

    content = hashlib.sha256("\n".join(digests).encode() + y.tobytes()).hexdigest()
    return made(where, [split(name) for name in SPLITS], listing, content, geometry or known)


def _read(path: Path) -> tuple[Any, Any, Splits, list[str] | None]:
    if path.suffix.lower() == ".npy":
        beside = path.with_name(path.name.replace("x", "y", 1) if path.stem.startswith("x") else f"{path.stem}_y.npy")
        if not beside.is_file():
            raise BadFile(str(path), f"its labels are looked for in {beside.name}, which is missing", _REMEDY)
        return opened(path), opened(beside), None, None
    try:
        with opened(path) as found:
            return _members(path, found)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _members(path: Path, found: Any) -> tuple[Any, Any, Splits, list[str] | None]:
    import numpy as np

    keys = list(found)
    if {"x", "y"} <= set(keys):
        given: Splits = [_split(path, str(name)) for name in found["split"]] if "split" in keys else None
        names = [str(name) for name in found["class_names"]] if "class_names" in keys else None
        if given is not None and len(given) != len(found["y"]):
            raise BadFile(str(path), f"split has {len(given):,} names, y {len(found['y']):,} labels", _REMEDY)
        return found["x"], found["y"], given, names
    parts = [key[2:] for key in keys if key.startswith("x_") and f"y_{key[2:]}" in keys]
    if not parts:
        raise BadFile(str(path), f"it needs x and y, and has {', '.join(keys) or 'nothing'}", _REMEDY)
    xs, ys = [found[f"x_{part}"] for part in parts], [found[f"y_{part}"] for part in parts]
    given = [_split(path, part) for part, labels in zip(parts, ys, strict=True) for _ in labels]
    return np.concatenate(xs), np.concatenate(ys), given, None


def opened(path: Path) -> Any:
    """An array, or the arrays of an .npz file, none of them read yet."""
    import numpy as np

    try:
        with path.open("rb") as file:
            begins = file.read(6)
        if not begins.startswith((b"PK", b"\x93NUMPY")):
            raise BadFile(str(path), "it is not a file of NumPy's", _REMEDY)
        return np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadFile:
    why = "it holds Python objects, which are never unpickled" if "pickle" in str(error).lower() else str(error)
    return BadFile(str(path), f"it cannot be read ({why})", _REMEDY)


def _split(path: Path, name: str) -> SplitName | None:
    known = SPELLINGS.get(name.lower())
    if known is None:
        raise BadFile(str(path), f"'{name}' is not a split", "Use train, validation or test")
    return known


def checked_images(where: str, x: Any) -> Any:
    """[N, H, W, C], bytes or float32."""
    import numpy as np

    if not x.size:
        raise BadFile(where, f"x has the shape {list(x.shape)} and holds nothing", _REMEDY)
    if x.ndim not in (2, 3, 4):
        raise BadFile(
            where, f"x has the shape {list(x.shape)}; images are [N, H, W, C] or [N, H, W], features [N, F]", _REMEDY
        )
    if x.ndim == 2:
        x = x[:, None, None, :]
    elif x.ndim == 3:
        x = x[..., None]
    elif x.shape[1] in (1, 3) and x.shape[3] > 4 and (x.shape[1] == 3 or x.shape[2] == x.shape[3]):
        raise BadFile(where, f"x has the shape {list(x.shape)}; channels come last", "Give x.transpose(0, 2, 3, 1)")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise BadFile(where, f"x is {x.dtype}; bytes (uint8) and floats can be read", _REMEDY)
    with np.errstate(over="ignore"):  # what becomes infinite is named below
        x = x.astype(np.float32, copy=False)
    for start in range(0, len(x), _PIECE):
        broken = ~np.isfinite(x[start : start + _PIECE]).all(axis=(1, 2, 3))
        if broken.any():
            raise BadFile(
                where, f"image {start + int(broken.argmax())} has pixels that are not numbers (NaN or infinite)",
                "Replace them, or leave such images out",
            )  # fmt: skip
    return x


def _labels(where: str, y: Any, count: int) -> Any:
    import numpy as np

    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(y) != count:
        raise BadFile(where, f"y has the shape {list(y.shape)}; there are {count} images", "Give one label an image")
    if y.dtype.kind not in "iu":
        raise BadFile(where, f"y is {y.dtype}; labels are integers from 0", _REMEDY)
    if int(y.min()) < 0:
        raise BadFile(where, f"it has the label {y.min()}; labels are integers from 0", _REMEDY)
    if int(y.max()) >= MOST_CLASSES:
        raise UserError(
            where,
            f"it has the label {y.max()}, edgebench scores up to {MOST_CLASSES:,} classes",
            "Number classes from 0 without gaps",
        )
    return y.astype(np.int64)
