"""The training split on the device that trains: no loader processes, every epoch in a new order.

Imported by `run` only: this imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgebench.networks.lazy_images import LazyImages
from edgebench.networks.training import augment

if TYPE_CHECKING:
    from edgebench.networks.data import Dataset
    from edgebench.networks.training.recipes import Recipe
    from edgebench.schema.arrays import UInt8Array
    from edgebench.schema.preprocessing import Preprocessing

# So many values are prepared at once: a few large tensors instead of one small tensor per step.
CHUNK_VALUES = 2**22


class TrainingImages:
    """batches: in one epoch. Images are kept as bytes; floats exist for one chunk of the epoch at a time.

    A large split of files is not kept: its images are decoded again in each epoch, a chunk at a time.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, where: torch.device) -> None:
        self._augment = recipe.augment
        self._flip = recipe.augment.flip and dataset.flip
        self._batch = recipe.batch
        self._to_input = Preprocess(dataset.preprocessing, where)
        self._where = where
        images = dataset.train.images
        self._files = images if isinstance(images, LazyImages) else None
        self._padded = None if isinstance(images, LazyImages) else self._pad(images)
        self._labels = torch.from_numpy(dataset.train.labels).to(where)
        channels, height, width = dataset.input_shape
        self._chunk = max(1, CHUNK_VALUES // (channels * height * width * self._batch)) * self._batch
        count = len(self._labels)
        # A last batch of one image is left out: batch normalisation needs more than one value.
        self._count = count - 1 if count % self._batch == 1 and count > self._batch > 1 else count
        self.batches = -(-self._count // self._batch)

    def __len__(self) -> int:
        return self._count

    def epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Float [n, C, H, W], channels last, and int64 [n]."""
        order = torch.randperm(len(self._labels), device=self._labels.device)[: self._count]
        for chosen in torch.split(order, self._chunk):
            labels = self._labels[chosen]
            images = self._ready(chosen)
            yield from zip(torch.split(images, self._batch), torch.split(labels, self._batch), strict=True)

    def _pad(self, images: UInt8Array) -> torch.Tensor:
        return augment.pad(torch.from_numpy(images).to(self._where), self._augment.shift)

    def _ready(self, chosen: torch.Tensor) -> torch.Tensor:
        padded = self._padded
        if padded is None:
            assert self._files is not None
            padded = self._pad(self._files[chosen.cpu().numpy()])
            chosen = torch.arange(len(chosen), device=self._where)
        picked = augment.pick(padded, chosen, self._augment.shift, flip=self._flip).permute(0, 3, 1, 2)
        if self._augment.auto_augment:
            picked = augment.auto_augment(picked, self._augment.auto_augment)
        images = picked.float()
        if self._augment.rotate:
            images = augment.rotate(images, self._augment.rotate)
        images = self._to_input(images)
        if self._augment.erase:
            images = augment.erase(images, self._augment.erase)
        return images


class Preprocess:
    """`Preprocessing.apply` for tensors on any device: float [N, C, H, W] from 0 to 255 -> network input."""

    def __init__(self, preprocessing: Preprocessing, where: torch.device) -> None:
        mean, std = (
            torch.tensor(values, device=where)[:, None, None] for values in (preprocessing.mean, preprocessing.std)
        )
        self._scale, self._shift = 1 / (255 * std), -mean / std
        self._resize = preprocessing.resize

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if self._resize and self._resize != tuple(images.shape[2:]):
            images = functional.interpolate(images, self._resize, mode="bilinear", align_corners=False)
        ready = images.mul(self._scale).add_(self._shift)
        return ready.contiguous(memory_format=torch.channels_last)
