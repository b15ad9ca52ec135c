"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28x28, 10 classes.

Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747, https://github.com/zalandoresearch/fashion-mnist, MIT licence.
Kept in $EDGEBENCH_DATA, or ~/.cache/edgebench/data; torchvision downloads it there and checks its md5.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgebench import data
from edgebench.errors import BadFile, MissingPackage, UserError

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
LICENCE = "MIT, Copyright (c) 2017 Zalando SE"
# Mean and standard deviation of the 60,000 training images.
PREPROCESSING = data.Preprocessing(mean=(0.2860,), std=(0.3530,))
VALIDATION_PER_CLASS = 500


def folder() -> Path:
    """Where downloaded data sets are kept."""
    return Path(os.environ.get("EDGEBENCH_DATA") or Path.home() / ".cache" / "edgebench" / "data")


def load() -> data.Dataset:
    official = _official(train=True)
    train, validation = data.hold_out(official, VALIDATION_PER_CLASS)
    return data.Dataset(
        name="fashion-mnist",
        train=train,
        validation=validation,
        test=_official(train=False),
        class_names=CLASS_NAMES,
        preprocessing=PREPROCESSING,
        flip=True,
        licence=LICENCE,
    )


def _official(*, train: bool) -> data.Split:
    try:
        from torchvision.datasets import FashionMNIST
    except ModuleNotFoundError as error:
        raise MissingPackage("data set fashion-mnist", "torchvision", "train") from error
    root = folder()
    raw = root / "FashionMNIST" / "raw"
    complete = _complete(raw)
    try:
        dataset = FashionMNIST(str(root), train=train, download=not complete)
        return data.Split(dataset.data.numpy()[..., None], dataset.targets.numpy().astype("int64"))
    except Exception as error:  # torchvision raises what it meets: RuntimeError, AssertionError, urllib's errors, ...
        if complete:
            raise BadFile(str(raw), f"its files are damaged ({error})", "Delete that folder and try again") from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            "data set fashion-mnist",
            f"it is not in {root} and could not be downloaded ({reason})",
            f"Put the four idx files into {raw}, name another folder in EDGEBENCH_DATA, "
            "or use fashion-mnist-mini, which ships with edgebench",
        ) from error


def _complete(raw: Path) -> bool:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return all((raw / name).is_file() for name in names)
