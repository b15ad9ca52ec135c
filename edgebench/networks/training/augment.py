"""Augmentation of training images, on the device that trains, many images at once.

Random numbers come from torch's own generators, which the loop seeds. Imported by `run` only: this imports torch.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

AUTO_AUGMENT_GROUP = 8
ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 3.3)


def pad(images: torch.Tensor, shift: int) -> torch.Tensor:
    """uint8 [N, H, W, C] -> with a black border of `shift` pixels."""
    return functional.pad(images, (0, 0, shift, shift, shift, shift))


def pick(padded: torch.Tensor, chosen: torch.Tensor, shift: int, *, flip: bool) -> torch.Tensor:
    """Take images [n, H, W, C] out of padded ones, each moved by itself by up to `shift`, half of them mirrored."""
    if not shift and not flip:
        return padded[chosen]
    count, where = len(chosen), padded.device
    height, width = (size - 2 * shift for size in padded.shape[1:3])
    rows = torch.arange(height, device=where).expand(count, height)
    columns = torch.arange(width, device=where).expand(count, width)
    if flip:
        mirrored = torch.rand(count, 1, device=where) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    if shift:
        rows = rows + torch.randint(0, 2 * shift + 1, (count, 1), device=where)
        columns = columns + torch.randint(0, 2 * shift + 1, (count, 1), device=where)
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def auto_augment(images: torch.Tensor, policy: str) -> torch.Tensor:
    """uint8 [N, C, H, W]. torchvision transforms a whole tensor by one draw: here groups of eight images."""
    from torchvision.transforms import v2

    change = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    return torch.cat([change(group) for group in torch.split(images, AUTO_AUGMENT_GROUP)])


def rotate(images: torch.Tensor, degrees: float) -> torch.Tensor:
    """Float [N, C, H, W], each about its centre by up to that many degrees either way; new pixels are 0."""
    count, _, height, width = images.shape
    angle = torch.empty(count, device=images.device).uniform_(-degrees, degrees) * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Coordinates run from -1 to 1 along either side, so an image that is not square needs its aspect.
    rows = [torch.stack((cos, -sin * height / width, zero), 1), torch.stack((sin * width / height, cos, zero), 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def erase(images: torch.Tensor, probability: float) -> torch.Tensor:
    """Float [N, C, H, W]: with this probability a rectangle of each becomes 0, after normalisation the mean."""
    count, _, height, width = images.shape
    where = images.device

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.empty(count, 1, device=where).uniform_(low, high)

    area = uniform(*ERASED_AREA) * (height * width)
    aspect = uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])).exp()
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (uniform(0, 1) * (height - tall + 1)).floor()
    left = (uniform(0, 1) * (width - wide + 1)).floor()
    row = torch.arange(height, device=where)
    column = torch.arange(width, device=where)
    erased = (torch.rand(count, 1, device=where) < probability)[:, :, None]
    erased = erased & ((row >= top) & (row < top + tall))[:, :, None]
    erased = erased & ((column >= left) & (column < left + wide))[:, None, :]
    return images.masked_fill(erased[:, None], 0.0)
