"""Make edgebench/networks/data/fashion_mnist_mini.npz from the official files.

    python tools/make_fashion_mnist_mini.py FOLDER [OUT.npz]

FOLDER holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte,
as torchvision leaves them in <root>/FashionMNIST/raw. The same input gives the same bytes.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRAIN_PER_CLASS = 700
TEST_PER_CLASS = 200
OUT = Path(__file__).parents[1] / "edgebench" / "networks" / "data" / "fashion_mnist_mini.npz"


def idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of bytes: magic 0x000008DD, DD big-endian sizes, the bytes (yann.lecun.com/exdb/mnist)."""
    raw = path.read_bytes()
    if raw[:3] != b"\0\0\x08":
        raise SystemExit(f"{path}: not an idx file of bytes")
    dims = raw[3]
    shape = np.frombuffer(raw, ">u4", dims, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def first_of_each_class(labels: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """The indices of the first `count` of each class, in the file's order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def write(out: Path, arrays: dict[str, NDArray[np.uint8]]) -> None:
    """An .npz as numpy.savez_compressed writes it, but packed harder and without a clock in it."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def main(folder: Path, out: Path = OUT) -> None:
    arrays = {}
    for split, prefix, count in (("train", "train", TRAIN_PER_CLASS), ("test", "t10k", TEST_PER_CLASS)):
        labels = idx(folder / f"{prefix}-labels-idx1-ubyte")
        chosen = first_of_each_class(labels, count)
        arrays[f"{split}_images"] = np.ascontiguousarray(idx(folder / f"{prefix}-images-idx3-ubyte")[chosen])
        arrays[f"{split}_labels"] = np.ascontiguousarray(labels[chosen])
    write(out, arrays)
    print(f"{out}: {out.stat().st_size} bytes, " + ", ".join(f"{k} {v.shape}" for k, v in arrays.items()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
