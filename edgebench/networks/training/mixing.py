"""MixUp and CutMix: each image of a batch is mixed with another one of it, and so are their labels.

MixUp: Zhang et al. 2018, arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899, one rectangle for a batch.
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
    """Images [N, C, H, W] and labels [N] -> images, and shares [N, classes] where the batch was mixed.

    What decides is drawn on the CPU, so that a GPU need not be waited for.
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
    """A rectangle of the others that leaves about `share` of each image; with it, what it does leave.

    Its middle is anywhere in the image, so it may be cut off at the edge.
    """
    height, width = images.shape[2:]
    half = math.sqrt(1 - share) / 2
    row, column = (torch.rand(2) * torch.tensor([height, width])).int().tolist()
    top, bottom = max(0, row - round(half * height)), min(height, row + round(half * height))
    left, right = max(0, column - round(half * width)), min(width, column + round(half * width))
    images = images.clone()
    images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / (height * width)
