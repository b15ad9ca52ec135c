"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28x28, 10 classes.

LeCun, Bottou, Bengio, Haffner 1998, http://yann.lecun.com/exdb/mnist/, commonly given as CC BY-SA 3.0.
"""

from __future__ import annotations

from edgebench.networks import data
from edgebench.networks.data import _torchvision
from edgebench.schema.preprocessing import Preprocessing

CLASS_NAMES = tuple("0123456789")
# Mean and standard deviation of the 60,000 training images.
SOURCE = _torchvision.TorchvisionSource(
    name="mnist",
    reader="MNIST",
    class_names=CLASS_NAMES,
    preprocessing=Preprocessing(mean=(0.1307,), std=(0.3081,)),
    flip=False,
    licence="CC BY-SA 3.0 (as commonly given), Yann LeCun and Corinna Cortes",
    validation_per_class=500,
    checksums={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)


def load() -> data.Dataset:
    return _torchvision.load(SOURCE)
