"""The last step for data of any kind: three splits become the data set, and a part of it where one was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks.dataset import Dataset, Split, balanced
from edgebench.networks.own_data.listing import Listing
from edgebench.schema.preprocessing import Geometry, Preprocessing

if TYPE_CHECKING:
    from edgebench.networks.own_data.address import Address


def made(where: Address, splits: Sequence[Split], listing: Listing, content: str, geometry: Geometry | None) -> Dataset:
    """splits: train, validation, test. Networks see -1..1 unless they say otherwise; floats are left as they are."""
    train, validation, test = splits
    channels = train.images.shape[3]
    floats = train.images.dtype.name == "float32"
    mean, std = (0.0, 1 / 255) if floats else (0.5, 0.5)
    train_part, _, test_part = where.part.partition(",")
    return Dataset(
        name=str(where),
        train=_part(where, train, train_part, len(listing.class_names)),
        validation=validation,
        test=_part(where, test, test_part, 1),
        class_names=tuple(listing.class_names),
        preprocessing=Preprocessing((mean,) * channels, (std,) * channels, geometry=geometry),
        flip=False,
        licence="",
        content=content,
        remarks=tuple(listing.remarks),
    )


def _part(where: Address, split: Split, text: str, least: int) -> Split:
    if not text:
        return split
    if not least <= int(text) <= len(split):
        raise UserError(
            f"data set '{where}'",
            f"{text} is not a number of images between {least:,} and {len(split):,}",
            f"Write {where.where}@TRAIN or {where.where}@TRAIN,TEST",
        )
    return balanced(split, int(text))
