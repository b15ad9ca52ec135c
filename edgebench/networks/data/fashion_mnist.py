"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28x28, 10 classes.

Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747, https://github.com/zalandoresearch/fashion-mnist, MIT licence.
"""

from __future__ import annotations

from edgebench.networks import data
from edgebench.networks.data import _torchvision
from edgebench.schema.preprocessing import Preprocessing

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
LICENCE = "MIT, Copyright (c) 2017 Zalando SE"
# Mean and standard deviation of the 60,000 training images.
PREPROCESSING = Preprocessing(mean=(0.2860,), std=(0.3530,))
SOURCE = _torchvision.TorchvisionSource(
    name="fashion-mnist",
    reader="FashionMNIST",
    class_names=CLASS_NAMES,
    preprocessing=PREPROCESSING,
    flip=True,
    licence=LICENCE,
    validation_per_class=500,
    checksums={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)


def load() -> data.Dataset:
    return _torchvision.load(SOURCE)
