"""Small folders of images, for tests of a user's own data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write(path: Path, seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    """A random image of `size` (width, height); its format is the suffix's."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 10, seed: int = 0) -> Path:
    """Class folders with so many images each, all different."""
    for number, name in enumerate(classes):
        for image in range(count):
            write(root / name / f"{image}.png", seed * 10_000 + number * 1000 + image)
    return root
