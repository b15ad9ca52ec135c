"""Data sets, one file each: the file's name is what users type.

A plugin has one function:

    def load() -> Dataset        raises UserError if the files are missing and cannot be downloaded

Everything else (splits, preprocessing, the calibration set) is decided here, once.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench import plugins
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.networks import own_data
from edgebench.networks.dataset import (
    CALIBRATION_IMAGES,
    Dataset,
    Split,
    balanced,
    balanced_index,
    hold_out,
    split_hash,
)
from edgebench.progress import Progress, Silent

if TYPE_CHECKING:
    from edgebench.schema.preprocessing import Geometry, Preprocessing

__all__ = [
    "CALIBRATION_IMAGES",
    "Dataset",
    "Split",
    "balanced",
    "balanced_index",
    "folder",
    "hold_out",
    "is_own",
    "load",
    "names",
    "plain_name",
    "prepared",
    "split_hash",
]


def folder() -> Path:
    """Where data sets are kept: $EDGEBENCH_DATA, else `data` in the user's cache."""
    return Path(os.environ.get("EDGEBENCH_DATA") or cache.folder() / "data").expanduser()


def names() -> list[str]:
    return plugins.names("edgebench.networks.data")


def is_own(name: str) -> bool:
    """Whether this is data of the user's own."""
    return own_data.is_own(name, names())


def load(name: str) -> Dataset:
    """A data set; `NAME@TRAIN` or `NAME@TRAIN,TEST` for that many of its training and test images.

    The images of such a part are balanced over the classes and always the same, and everything made from it keeps the
    part's name: a network that was trained on `cifar10@10000` is pruned and calibrated on the same 10,000 images.
    Raises UnknownName for a name without a file here, UserError for an impossible part.
    """
    if is_own(name):
        return prepared(name)
    own_data.refuse_options(name)
    dataset: Dataset = plugins.load("edgebench.networks.data", plain_name(name), kind="data set").load()
    return _part(dataset, name, name.partition("@")[2]) if "@" in name else dataset


def prepared(
    name: str,
    preprocessing: Preprocessing | None = None,
    *,
    geometry: Geometry | None = None,
    channels: int | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
    scored: bool = False,
    with_targets: bool = False,
) -> Dataset:
    """A data set as a network wants it: `preprocessing` if that is known, else with a geometry and so many channels.

    Built-in images keep their channels. scored: only the test split is wanted, so that own data may have no other.
    with_targets: boxes, masks, ... are wanted as well. What should be known about a user's own data is said.
    """
    if preprocessing is not None:
        geometry, channels = preprocessing.geometry, len(preprocessing.mean)
    if is_own(name):
        dataset = own_data.load(name, geometry, channels, progress, scored=scored, with_targets=with_targets)
        for line in dataset.remarks:
            progress.say(line)
    else:
        dataset = own_data.in_geometry(load(name), geometry)
    return dataset if preprocessing is None else replace(dataset, preprocessing=preprocessing)


def plain_name(name: str) -> str:
    """The data set's name, also for a part of it."""
    return name.partition("@")[0]


def _part(whole: Dataset, name: str, parts: str) -> Dataset:
    train, comma, test = parts.partition(",")
    return replace(
        whole,
        name=name,
        train=_some(whole.train, train, whole, name),
        test=_some(whole.test, test, whole, name) if comma else whole.test,
    )


def _some(split: Split, text: str, whole: Dataset, name: str) -> Split:
    least, most = len(whole.class_names), len(split)
    if not (text.isdecimal() and least <= int(text) <= most):
        raise UserError(
            f"data set '{name}'",
            f"'{text}' is not a number of images from {least:,} to {most:,}",
            f"Write {whole.name}@TRAIN or {whole.name}@TRAIN,TEST",
        )
    return balanced(split, int(text))
