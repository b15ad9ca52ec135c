"""CIFAR-10: 50,000 training and 10,000 test photographs, 32x32 in colour, 10 classes.

Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from edgebench.networks import data
from edgebench.networks.data import _torchvision
from edgebench.schema.preprocessing import Preprocessing

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Mean and standard deviation of the 50,000 training images. The frequently copied (0.2023, 0.1994, 0.2010) is a
# different quantity: the mean of the images' own standard deviations.
SOURCE = _torchvision.TorchvisionSource(
    name="cifar10",
    reader="CIFAR10",
    class_names=CLASS_NAMES,
    preprocessing=Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    flip=True,
    licence="none stated; cite Krizhevsky 2009",
    validation_per_class=500,
)


def load() -> data.Dataset:
    return _torchvision.load(SOURCE)
