"""Pieces that several networks share. Imported by their `build` functions only: this imports torch."""

from __future__ import annotations

import torch
from torch import nn


def separable(inputs: int, outputs: int) -> list[nn.Module]:
    """Depthwise 3x3 and pointwise 1x1, each with normalisation and ReLU6 (Howard et al. 2017, arXiv:1704.04861)."""
    return [
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    ]


def plain_convolution(inputs: int, outputs: int) -> nn.Module:
    """3x3 with bias, as Keras' Conv2D."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def separable_convolution(inputs: int, outputs: int) -> nn.Module:
    """Depthwise 3x3 without and pointwise 1x1 with bias, nothing between them, as Keras' SeparableConv2D."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1)
    )


class SqueezeExcite(nn.Module):
    """Scales channels by a function of all of them (Hu et al. 2018, arXiv:1709.01507). [N, C, H, W] -> the same."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        scales: torch.Tensor = self.gate(self.expand(self.act(self.reduce(self.squeeze(maps)))))
        return maps * scales


class ResidualSE(nn.Module):
    """conv-BN-ReLU-conv-BN-SE, plus the input (through 1x1 conv-BN where the channels change), ReLU."""

    def __init__(self, inputs: int, outputs: int, *, separable: bool) -> None:
        super().__init__()
        convolution = separable_convolution if separable else plain_convolution
        self.conv1 = convolution(inputs, outputs)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = nn.ReLU()
        self.conv2 = convolution(outputs, outputs)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.attention = SqueezeExcite(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.act2 = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        changed = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(maps)))))
        result: torch.Tensor = self.act2(self.attention(changed) + self.shortcut(maps))
        return result


def residual_se(
    channels: int, classes: int, *, widths: tuple[int, int, int], hidden: int, dropout: float, separable: bool
) -> nn.Module:
    """Stem, pool, residual block, pool, residual block, global average, `hidden` units (0: none), logits."""
    stem, middle, last = widths
    head: list[nn.Module] = []
    if hidden:
        head = [nn.Linear(last, hidden), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(
        nn.Conv2d(channels, stem, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        ResidualSE(stem, middle, separable=separable),
        nn.MaxPool2d(2),
        ResidualSE(middle, last, separable=separable),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *head,
        nn.Linear(hidden or last, classes),
    )
