"""MixUp and CutMix: each image of a batch is mixed with another of the same batch, and so are their labels.

MixUp: Zhang et al. 2018, arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899, one rectangle per batch.
Imported by `run` only: this imports torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Mix


def mix(images: torch.Tensor, labels: torch.Tensor, classes: int, choice: Mix) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [N, C, H, W] and labels [N] -> images, and shares [N, classes] if the batch was mixed.

    The decisions are drawn on the CPU, so that nothing waits for the GPU.
    """
    alphas = [("mixup", choice.mixup_alpha), ("cutmix", choice.cutmix_alpha)]
    alphas = [(name, alpha) for name, alpha in alphas if alpha]
    if not alphas or torch.rand(()).item() >= choice.probability:
        return images, labels
    name, alpha = alphas[int(torch.randint(len(alphas), ()).item())]
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    partner = torch.randperm(len(labels), device=labels.device)
    if name == "mixup":
        images = images.lerp(images[partner], 1 - share)
    else:
        images, share = paste(images, images[partner], share)
    shares = functional.one_hot(labels, classes).float()
    return images, shares.lerp(shares[partner], 1 - share)


def paste(images: torch.Tensor, others: torch.Tensor, share: float) -> tuple[torch.Tensor, float]:
    """Pastes a rectangle of the others that leaves about `share` of each image; also returns the share that it leaves.

    Its centre is anywhere in the image, so the edge may cut it off.
    """
    height, width = images.shape[2:]
    half = math.sqrt(1 - share) / 2
    row, column = (torch.rand(2) * torch.tensor([height, width])).int().tolist()
    top, bottom = max(0, row - round(half * height)), min(height, row + round(half * height))
    left, right = max(0, column - round(half * width)), min(width, column + round(half * width))
    images = images.clone()
    images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / (height * width)
