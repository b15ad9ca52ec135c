"""Networks side by side. Imported by `build` functions only: this imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from edgebench.networks.models import InputShape

FEATURES = 128


def _branch(input_shape: InputShape, dropout: float) -> nn.Module:
    """[N, C, H, W] -> [N, FEATURES]"""
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, 10, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(10, 20, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20 * (height // 4) * (width // 4), FEATURES),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class Branches(nn.Module):
    """Every branch sees the image; their concatenated features give the answer."""

    def __init__(self, input_shape: InputShape, classes: int, branches: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(input_shape, dropout) for _ in range(branches))
        self.classifier = nn.Linear(branches * FEATURES, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.classifier(torch.cat([branch(image) for branch in self.branches], dim=1))
        return answer
