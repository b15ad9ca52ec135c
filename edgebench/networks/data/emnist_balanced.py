"""EMNIST Balanced: 112,800 training and 18,800 test images of digits and letters, 28x28, 47 classes of equal size.

Cohen, Afshar, Tapson, van Schaik 2017, arXiv:1702.05373. Capitals and small letters that look alike are one class.
The held-out part is as large as the test split, as its authors do it.
"""

from __future__ import annotations

from edgebench.networks import data
from edgebench.networks.data import _torchvision
from edgebench.schema.preprocessing import Preprocessing

CLASS_NAMES = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
# Not the images' own mean: the values used by the study of pruned MLPs that trains on it.
SOURCE = _torchvision.TorchvisionSource(
    name="emnist-balanced",
    reader="EMNIST",
    class_names=CLASS_NAMES,
    preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)),
    flip=False,
    licence="none stated; cite Cohen, Afshar, Tapson, van Schaik 2017, arXiv:1702.05373; from NIST Special Database 19",
    validation_per_class=400,
    part="balanced",
)


def load() -> data.Dataset:
    return _torchvision.load(SOURCE)
