"""7,000 training and 2,000 test images of Fashion-MNIST, shipped with edgebench: no download, no wait.

Chosen by rule, not by hand: the first 700 of each class of the official training split and the first 200 of
each class of the official test split, in their official order (`tools/make_fashion_mnist_mini.py`).
Fashion-MNIST: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747, MIT licence (fashion_mnist_mini.LICENSE).
"""

from __future__ import annotations

from pathlib import Path

from edgebench.errors import BadFile
from edgebench.networks import data
from edgebench.networks.data.fashion_mnist import CLASS_NAMES, LICENCE, PREPROCESSING

FILE = Path(__file__).with_name("fashion_mnist_mini.npz")
VALIDATION_PER_CLASS = 50


def load() -> data.Dataset:
    import zipfile

    import numpy as np

    try:
        with FILE.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            official = data.Split(stored["train_images"][..., None], stored["train_labels"].astype(np.int64))
            test = data.Split(stored["test_images"][..., None], stored["test_labels"].astype(np.int64))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BadFile(str(FILE), f"it cannot be read ({error})", "Install edgebench again") from error
    train, validation = data.hold_out(official, VALIDATION_PER_CLASS)
    return data.Dataset(
        name="fashion-mnist-mini",
        train=train,
        validation=validation,
        test=test,
        class_names=CLASS_NAMES,
        preprocessing=PREPROCESSING,
        flip=True,
        licence=LICENCE,
    )
