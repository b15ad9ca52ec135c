"""Sizes of the official test splits, so that statements can be audited without the data sets."""

from __future__ import annotations

from edgebench.studies.audit.published import PublishedRow

TEST_IMAGES = {
    "mnist": 10_000,
    "fashion-mnist": 10_000,
    "fashion-mnist-mini": 2_000,
    "cifar10": 10_000,
    "cifar100": 10_000,
    "emnist-balanced": 18_800,
    "emnist-byclass": 116_323,
    "octmnist": 1_000,
}


def images(row: PublishedRow) -> int | None:
    """The number of images behind an accuracy: as stated, else the official test split."""
    return row.test_images or TEST_IMAGES.get(row.dataset)
