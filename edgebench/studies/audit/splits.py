"""Images in the official test splits: known, so that no data set has to be there to audit what was said about it."""

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
    """How many images an accuracy is of: as stated, or the official test split."""
    return row.test_images or TEST_IMAGES.get(row.dataset)
