"""How far a metric would move with other test images: its value on samples of the images, drawn with replacement.

All records of a test set use the same samples, so that two files are compared sample by sample.
"""

from __future__ import annotations

from typing import Any

SAMPLES = 200


def weights(images: int) -> Any:
    """How often each image is in each sample: int64 [SAMPLES, images]; the same for as many images."""
    import numpy as np

    return np.random.default_rng(images).multinomial(images, np.full(images, 1 / images), SAMPLES)
