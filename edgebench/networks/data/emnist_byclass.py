"""EMNIST ByClass: 697,932 training and 116,323 test images of digits and letters, 28x28, 62 classes of unequal size.

Cohen, Afshar, Tapson, van Schaik 2017, arXiv:1702.05373. 0.6 GB in memory; it comes in one archive with Balanced.
"""

from __future__ import annotations

from edgebench.networks import data
from edgebench.networks.data import _torchvision
from edgebench.schema.preprocessing import Preprocessing

CLASS_NAMES = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
# Not the images' own mean: the values used by the study of pruned MLPs that trains on it.
SOURCE = _torchvision.TorchvisionSource(
    name="emnist-byclass",
    reader="EMNIST",
    class_names=CLASS_NAMES,
    preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)),
    flip=False,
    licence="none stated; cite Cohen, Afshar, Tapson, van Schaik 2017, arXiv:1702.05373; from NIST Special Database 19",
    validation_per_class=200,
    part="byclass",
)


def load() -> data.Dataset:
    return _torchvision.load(SOURCE)
