"""Data of the user's own: folders of images, manifests, arrays, code; all become a `Dataset` of three splits.

address ──> listing (folder, manifest) ──> scan: hash, size, broken? ──> splits ──> images, decoded when asked
└─> arrays, code ────────────────────────────────────────────────┘
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.networks.own_data import address, pictures
from edgebench.networks.own_data.address import is_own, refuse_options

if TYPE_CHECKING:
    from edgebench.networks.dataset import Dataset, Split
    from edgebench.progress import Progress
    from edgebench.schema.preprocessing import Geometry

__all__ = ["in_geometry", "is_own", "load", "refuse_options"]


def load(
    name: str,
    geometry: Geometry | None,
    channels: int | None,
    progress: Progress,
    *,
    scored: bool = False,
    with_targets: bool = False,
) -> Dataset:
    """channels: 1 or 3; None: 1 where every image is grey, else 3. scored: only the test split is wanted, so that there
    may be no other. with_targets: boxes, masks, ... are wanted as well (`Dataset.annotated`).

    Raises UserError, BadFile.
    """
    from edgebench.networks.own_data import annotated, arrays, files, from_code

    if with_targets:
        if found := annotated.as_dataset(name, geometry, channels, progress):
            return found
    elif kind := annotated.kind(name):
        raise UserError(
            name, f"its images have {kind}, which networks are scored on, not trained on",
            "Use it with `edgebench export` and `edgebench deploy --accuracy`; give a class for each image otherwise",
        )  # fmt: skip
    where = address.parse(name)
    if where.kind in ("folder", "manifest"):
        return files.load(where, geometry, channels, progress, scored=scored)
    if where.kind == "arrays":
        return arrays.load(where, geometry, progress, scored=scored)
    return from_code.load(where, geometry, channels, progress)


def in_geometry(dataset: Dataset, geometry: Geometry | None) -> Dataset:
    """A data set whose images are arrays, resized and cut."""
    if geometry is None:
        return dataset

    def sized(split: Split) -> Split:
        return replace(split, images=pictures.in_geometry(split.images, geometry))

    return replace(
        dataset,
        train=sized(dataset.train),
        validation=sized(dataset.validation),
        test=sized(dataset.test),
        preprocessing=_with(dataset, geometry),
    )


def _with(dataset: Dataset, geometry: Geometry) -> Any:
    import msgspec

    return msgspec.structs.replace(dataset.preprocessing, geometry=geometry)
