"""Image files, from a folder or a manifest, as a data set."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebench.errors import BadFile, UserError
from edgebench.networks.dataset import Dataset, Split
from edgebench.networks.own_data import folder, manifest, pictures, scan, splits
from edgebench.networks.own_data.listing import SPLITS, Listing
from edgebench.networks.own_data.made import made
from edgebench.schema.preprocessing import Geometry

if TYPE_CHECKING:
    from edgebench.networks.own_data.address import Address
    from edgebench.networks.own_data.scan import Seen
    from edgebench.progress import Progress


def load(
    where: Address, geometry: Geometry | None, channels: int | None, progress: Progress, *, scored: bool
) -> Dataset:
    import numpy as np

    read = folder.read if where.kind == "folder" else manifest.read
    listing = read(where.path, scored=scored)
    seen = scan.look(where.where, listing.files, progress)
    listing, seen = _whole(where, listing, seen)
    shape = geometry or Geometry()
    height, width = _size(where, listing, seen, geometry)
    channels = channels or (1 if all(pictures.is_grey(one.mode) for one in seen) else 3)
    listing.remarks += _remarks(seen, channels)
    digests = [one.sha256 for one in seen]
    chosen = np.array(splits.fill(where.where, listing, digests, where.seed))
    labels = np.array(listing.labels, np.int64)

    def split(name: str) -> Split:
        index = np.flatnonzero(chosen == name)
        images = pictures.ImageFiles(listing.files, digests, index, (height, width, channels), shape)
        return Split(images, labels[index], index)

    content = hashlib.sha256("\n".join([*digests, *listing.class_names]).encode()).hexdigest()
    return made(where, [split(name) for name in SPLITS], listing, content, geometry)


def _whole(where: Address, listing: Listing, seen: Sequence[Seen]) -> tuple[Listing, list[Seen]]:
    """Without broken images. Raises BadFile, which names one, unless they are to be left out."""
    broken = [place for place, one in enumerate(seen) if one.broken]
    if not broken:
        return listing, list(seen)
    first = listing.files[broken[0]]
    if not where.skip_broken:
        more = f" ({len(broken) - 1:,} more are broken too)" if len(broken) > 1 else ""
        raise BadFile(first, f"{seen[broken[0]].broken}{more}", "Mend or remove it, or leave such out: --skip-broken")
    kept = Listing(listing.class_names, remarks=listing.remarks)
    for place, one in enumerate(seen):
        if not one.broken:
            kept.add(listing.files[place], listing.labels[place], listing.splits[place])
    kept.remarks.append(f"{len(broken):,} broken images were left out, e.g. {first} ({seen[broken[0]].broken})")
    missing = set(listing.labels) - set(kept.labels)
    if missing:
        name = listing.class_names[min(missing)]
        raise BadFile(where.where, f"every image of class '{name}' is broken", "Mend them, or remove the class")
    return kept, [one for one in seen if not one.broken]


def _size(where: Address, listing: Listing, seen: Sequence[Seen], geometry: Geometry | None) -> tuple[int, int]:
    """(height, width) that all images have in the end. Raises UserError."""
    first: dict[tuple[int, int], int] = {}
    for place, one in enumerate(seen):
        if one.size not in first:
            first[one.size] = place
            pictures.refuse_small(one.size, geometry or Geometry(), listing.files[place])
    final: dict[tuple[int, int], int] = {}
    for size, place in first.items():
        final.setdefault(pictures.final_size(size, geometry or Geometry()), place)
    if len(final) > 1:
        (size, a), (other, b) = list(final.items())[:2]
        after = "" if geometry is None else f" after {geometry}"
        raise UserError(
            where.where,
            f"its images have {len(final):,} sizes{after}, e.g. {size[0]}x{size[1]} ({listing.files[a]}) and "
            f"{other[0]}x{other[1]} ({listing.files[b]})",
            "Make them one: --resize 256 --crop 224, or --resize 224x224",
        )
    return next(iter(final))


def _remarks(seen: Sequence[Seen], channels: int) -> list[str]:
    modes = Counter(one.mode for one in seen)
    alpha = sum(count for mode, count in modes.items() if mode in ("RGBA", "LA", "PA", "RGBa", "La"))
    deep = sum(count for mode, count in modes.items() if mode.startswith("I"))
    colour = sum(count for mode, count in modes.items() if not pictures.is_grey(mode))
    turned = sum(one.turned for one in seen)
    said = {
        "are turned upright as their EXIF data says": turned,
        "have an alpha channel, which is dropped": alpha,
        "have 16 bits, of which the upper 8 are used": deep,
        "are grey among coloured ones, and become RGB": len(seen) - colour if channels == 3 and colour else 0,
        "are in colour, and become grey": colour if channels == 1 else 0,
    }
    return [f"{count:,} of {len(seen):,} images {what}" for what, count in said.items() if count]
