"""Networks of the studies with drawn weights whose normalisations have seen data, for `edgebench export`.

Answers of such networks are as sensitive to rounding as those of trained ones; random normalisations would not be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgebench.networks import models
from edgebench.networks.models import InputShape

SHAPES: dict[str, InputShape] = {
    "ultralight": (1, 28, 28),
    "mobilenetv2": (3, 224, 224),
    "resnet18": (3, 224, 224),
    "efficientnet-b0": (3, 224, 224),
}
# The same on small images, for emulated boards.
SMALL: dict[str, InputShape] = {f"{name}-32": (3, 32, 32) for name, shape in SHAPES.items() if shape[1] > 32}
KNOWN = {**SHAPES, **SMALL}
CLASSES = 10
SAMPLES = 24


def source(name: str) -> str:
    """What `edgebench export` takes."""
    return f"{__name__}:{name.replace('-', '_')}"


def save_inputs(name: str, path: Path) -> Path:
    """Half of them are for calibration."""
    np.savez(path, input=_images(name, SAMPLES, 0))
    return path


def _images(name: str, count: int, seed: int) -> np.ndarray:
    """Smooth random ones."""
    channels, height, width = KNOWN[name]
    coarse = np.random.default_rng(seed).normal(size=(count, channels, height // 4, width // 4)).astype("float32")
    return np.kron(coarse, np.ones((1, 1, 4, 4), "float32"))


def _drawn(name: str) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    network = models.build(name.removesuffix("-32"), KNOWN[name], CLASSES)
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.momentum = None  # the mean of all batches
    network.train()
    with torch.no_grad():
        for seed in (1, 2):
            network(torch.from_numpy(_images(name, 16, seed)))

    class Named(nn.Module):
        """Takes `input`, whatever the network calls it."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input: Any) -> Any:
            return self.network(input)

    return Named().eval()


def __getattr__(name: str) -> Callable[[], Any]:
    """`drawn_networks.resnet18()`: a network by its name, with underscores."""
    known = name.replace("_", "-")
    if known not in KNOWN:
        raise AttributeError(name)
    return partial(_drawn, known)
