"""Which image is in which split where the data does not say it, and whether the splits share images.

Every class is cut by itself (stratified): its images stand in the order of sha256(seed and content), the first are the
test images, the next the validation images. Two copies of an image are always in the same split, and renaming files
changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from edgebench.errors import UserError
from edgebench.networks.own_data.listing import SPLITS, Listing, SplitName

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.15


def fill(where: str, listing: Listing, digests: Sequence[str], seed: int) -> list[SplitName]:
    """A split for every image; what was done goes to the listing's remarks. Raises UserError for too few images.

    Data with only train and validation is scored on the latter, as ImageNet is.
    """
    given = set(listing.splits)
    if given == {"train", "validation", "test"}:
        splits = [split for split in listing.splits if split is not None]
    elif None in given:
        splits = _cut(where, listing, digests, seed, {"test": TEST_SHARE, "validation": VALIDATION_SHARE}, None)
        listing.remarks.append(_line(splits, f"split by content and seed {seed}, each class by itself"))
    elif given == {"test"}:
        splits = ["test"] * len(digests)
    elif "test" in given:
        splits = _cut(where, listing, digests, seed, {"validation": VALIDATION_SHARE}, "train")
        listing.remarks.append(_line(splits, f"validation images taken from train by content and seed {seed}"))
    elif "validation" in given:
        listing.splits = ["test" if split == "validation" else split for split in listing.splits]
        splits = _cut(where, listing, digests, seed, {"validation": VALIDATION_SHARE}, "train")
        why = (
            f"there is no test split: val is the test split, validation is taken from train by content and seed {seed}"
        )
        listing.remarks.append(_line(splits, why))
    else:
        shares: dict[SplitName, float] = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
        splits = _cut(where, listing, digests, seed, shares, "train")
        listing.remarks.append(_line(splits, f"train split by content and seed {seed}, each class by itself"))
    listing.remarks += _shared(listing, splits, digests)
    return splits


def _line(splits: Sequence[SplitName], why: str) -> str:
    counts = ", ".join(f"{splits.count(name):,} {name}" for name in SPLITS)
    return f"{counts} images ({why})"


def _cut(
    where: str,
    listing: Listing,
    digests: Sequence[str],
    seed: int,
    shares: dict[SplitName, float],
    source: SplitName | None,
) -> list[SplitName]:
    """Take shares of what is in `source`; the rest of it is train."""
    contents: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (label, split) in enumerate(zip(listing.labels, listing.splits, strict=True)):
        if split == source:
            contents[label][digests[place]].append(place)
    splits: list[SplitName] = [split or "train" for split in listing.splits]
    for label, places in sorted(contents.items()):
        if len(places) <= len(shares):
            raise UserError(
                where,
                f"class '{listing.class_names[label]}' has {len(places)} different images to be split into "
                f"{', '.join(['train', *shares])}",
                "Add images, or say which are for training, validation and test (folders train/, val/, test/)",
            )
        order = sorted(places, key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
        start = 0
        for name, share in shares.items():
            count = max(1, round(share * len(order)))
            for digest in order[start : start + count]:
                for place in places[digest]:
                    splits[place] = name
            start += count
    return splits


def _shared(listing: Listing, splits: Sequence[SplitName], digests: Sequence[str]) -> list[str]:
    """Images of the test split that are in another one too, and images with two labels."""
    seen: dict[str, set[int]] = defaultdict(set)
    learnt: dict[str, str] = {}
    for place, digest in enumerate(digests):
        seen[digest].add(listing.labels[place])
        if splits[place] != "test":
            learnt.setdefault(digest, listing.files[place])
    tests = [place for place, split in enumerate(splits) if split == "test"]
    both = [place for place in tests if digests[place] in learnt]
    remarks = []
    if both:
        first = both[0]
        remarks.append(
            f"{len(both):,} of {len(tests):,} test images are training or validation images too, e.g. "
            f"{listing.files[first]} = {learnt[digests[first]]}: test accuracy will be too high"
        )
    ambiguous = sum(len(labels) > 1 for labels in seen.values())
    if ambiguous:
        remarks.append(f"{ambiguous:,} images are in several classes")
    return remarks
