"""Test sets whose images have more than one class: boxes, masks, several labels, numbers.

    boxes    COCO's JSON, or YOLO's folder or data.yaml      masks    images/ beside masks/
    labels   a manifest with the column labels, arrays whose y is [N, classes] of 0 and 1
    values   a manifest with the column value or values, arrays whose y is of floats

They are scored, not trained on: of what names splits the test split is taken, else val, else all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, UserError
from edgebench.files import untrusted
from edgebench.networks.dataset import Dataset, Split
from edgebench.networks.own_data import address, annotated_arrays, coco, columns, masks, pictures, scan, yolo
from edgebench.networks.own_data.annotations import AnnotatedImages, Annotations, Boxes, Part
from edgebench.networks.own_data.splits import VALIDATION_SHARE
from edgebench.schema.preprocessing import Geometry, Preprocessing

if TYPE_CHECKING:
    from edgebench.networks.own_data.scan import Seen
    from edgebench.progress import Progress

# A box may reach out of its image by so many pixels: annotation tools round.
SLACK = 1.0
# All outputs of a network are compared on so many images, which are held in memory: those of a detector are megabytes.
EXPORTED = 300


def load(name: str, geometry: Geometry | None, channels: int | None, progress: Progress) -> AnnotatedImages | None:
    """None for what is not annotated: a data set of classes, or code. Raises UserError, BadFile."""
    return _read(name, "scored", geometry, channels, progress)


def _read(
    name: str, part: Part, geometry: Geometry | None, channels: int | None, progress: Progress
) -> AnnotatedImages | None:
    path, most, skip_broken = address.place(name)
    if path is None:
        return None
    if path.suffix.lower() in (".npz", ".npy"):
        return annotated_arrays.load(path, most) if part == "scored" else None
    for reader in (coco, yolo, masks, columns):
        found = reader.read(path, part)
        if found is not None:
            found.first(most if part == "scored" else None)
            return _opened(str(path), found, geometry or Geometry(), channels, skip_broken, progress)
    return None


def kind(name: str) -> str:
    """What the images of annotated data have, in words; "" where it is not annotated."""
    path, _, _ = address.place(name)
    if path is None or path.suffix.lower() in (".npz", ".npy"):
        return ""
    for reader in (coco, yolo, masks, columns):
        found = reader.read(path)
        if found is not None:
            return {"labels": "several labels", "values": "numbers"}.get(found.kind, str(found.kind))
    return ""


def as_dataset(name: str, geometry: Geometry | None, channels: int | None, progress: Progress) -> Dataset | None:
    """What an export works with: at most EXPORTED of the images that are scored as test split; of the training images a
    part as validation split, by content. Labels are 0. None for what is not annotated.

    Raises UserError without training images.
    """
    import numpy as np

    test = load(name, geometry, channels, progress)
    if test is None:
        return None
    train = _read(name, "train", geometry, channels, progress)
    if train is None:
        raise UserError(
            name, "it names no images for training, on which INT8 ranges could be found",
            "Give data with splits: a data.yaml with train and val, or folders train/ and val/ (see docs/own-data.md)",
        )  # fmt: skip
    order = sorted(range(len(train.images)), key=train.images.listing()["digests"].__getitem__)
    held = min(EXPORTED, max(1, round(VALIDATION_SHARE * len(order)))) if len(order) > 1 else 0

    def split(images: Any) -> Split:
        return Split(images, np.zeros(len(images), np.int64))

    shares = [train.images.pick(np.array(sorted(part))) for part in (order[held:], order[:held] or order)]
    shown = test.pick(sorted(range(len(test.images)), key=test.images.listing()["digests"].__getitem__)[:EXPORTED])
    part = "" if len(shown.images) == len(test.images) else f" of {len(test.images):,}"
    counts = f"{len(order) - held:,} train, {held:,} validation, {len(shown.images):,}{part} test images"
    mean = (0.5,) * int(test.images.shape[3])
    return Dataset(
        name=test.name,
        train=split(shares[0]),
        validation=split(shares[1]),
        test=split(shown.images),
        class_names=test.class_names,
        preprocessing=Preprocessing(mean, mean, geometry=geometry),
        flip=False,
        licence="",
        content=test.sha256,
        remarks=(*test.remarks, counts),
        annotated=shown,
    )


def _opened(
    name: str, found: Annotations, geometry: Geometry, channels: int | None, skip_broken: bool, progress: Progress
) -> AnnotatedImages:
    import numpy as np

    refuse_missing(name, found.files)
    seen = scan.look(name, found.files, progress)
    broken = [place for place, one in enumerate(seen) if one.broken]
    if broken and not skip_broken:
        first = found.files[broken[0]]
        raise BadFile(first, seen[broken[0]].broken, "Mend it, or leave such out: --skip-broken")
    if broken:
        found.remarks.append(f"{len(broken):,} broken images were left out, e.g. {found.files[broken[0]]}")
        found.leave_out(broken)
        seen = [one for one in seen if not one.broken]
    for file, one in zip(found.files, seen, strict=True):
        pictures.refuse_small(one.size, geometry, file)
    size = _one_size(name, found.files, seen, geometry)
    channels = channels or (1 if all(pictures.is_grey(one.mode) for one in seen) else 3)
    targets = found.targets
    if found.kind == "boxes":
        targets = [
            _inside(file, one, box, stated)
            for file, one, box, stated in zip(found.files, seen, targets, found.stated, strict=True)
        ]
    digests = [one.sha256 for one in seen]
    whole = hashlib.sha256("\n".join([*digests, *found.class_names]).encode())
    for target in targets:
        whole.update(_bytes(target))
    images = pictures.ImageFiles(found.files, digests, np.arange(len(digests)), (*size, channels), geometry)
    whole.update(str(images.shape).encode() + images.content)
    return AnnotatedImages(
        name=name,
        kind=found.kind,
        images=images,
        targets=targets,
        sizes=[one.size for one in seen],
        class_names=tuple(found.class_names),
        sha256=whole.hexdigest(),
        geometry=geometry,
        remarks=tuple(found.remarks),
        numbers=tuple(found.numbers),
    )


def refuse_missing(name: str, files: Sequence[str]) -> None:
    # Unlike Path's, it takes a name that no file system bears for one that is missing.
    missing = [file for file in files if not os.path.isfile(file)]  # noqa: PTH113
    if not files:
        raise BadFile(name, "no image has an annotation", "Give annotations of a test or val split")
    if missing:
        missing[0] = untrusted.shortened(missing[0])
        more = f", and {len(missing) - 1:,} more of its {len(files):,} images are" if len(missing) > 1 else " is"
        raise BadFile(name, f"{missing[0]}{more} missing", "Put the images where the annotations say they are")


def _one_size(name: str, files: Sequence[str], seen: Sequence[Seen], geometry: Geometry) -> tuple[int, int]:
    final: dict[tuple[int, int], str] = {}
    for file, one in zip(files, seen, strict=True):
        final.setdefault(pictures.final_size(one.size, geometry), file)
    if len(final) > 1:
        (size, a), (other, b) = list(final.items())[:2]
        raise UserError(
            name,
            f"its images have {len(final):,} sizes, e.g. {size[0]}x{size[1]} ({a}) and {other[0]}x{other[1]} ({b})",
            "Say how they become the network's input: --letterbox 640 (with grey), or --resize 640x640 (stretched)",
        )
    return next(iter(final))


def _inside(file: str, seen: Seen, boxes: Boxes, stated: tuple[int, int] | None) -> Boxes:
    """Cut to the image. Raises BadFile for a box that reaches out of it by more than rounding."""
    import numpy as np

    width, height = seen.size
    if stated is not None and stated != seen.size:
        raise BadFile(
            file, f"it has {width}x{height} pixels upright, the annotations say {stated[0]}x{stated[1]}",
            "Annotate it as it is seen, or remove its EXIF orientation",
        )  # fmt: skip
    limit = np.array([width, height, width, height], np.float32)
    corners = boxes.corners if stated is not None else boxes.corners * limit
    outside = ~((corners >= -SLACK) & (corners <= limit + SLACK)).all(1)
    if outside.any():
        seen_box = ", ".join(f"{value:g}" for value in corners[int(outside.argmax())])
        raise BadFile(
            file, f"a box reaches out of its {width}x{height} pixels (left, top, right, bottom: {seen_box})",
            "Correct the annotation, or give it in the format's own units",
        )  # fmt: skip
    corners = corners.clip(0, limit)
    sides = corners[:, 2:] - corners[:, :2]
    return Boxes(corners, boxes.labels, np.where(boxes.areas > 0, boxes.areas, sides.prod(1)), boxes.crowds)


def _bytes(target: Any) -> bytes:
    if isinstance(target, Boxes):
        return b"".join(one.tobytes() for one in (target.corners, target.labels, target.areas, target.crowds))
    if isinstance(target, str):
        return Path(target).read_bytes()
    return bytes(target.tobytes())
