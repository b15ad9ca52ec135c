"""One class an image: top-1, and top-5 where there are more than five classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks.scoring import KeptAnswers, class_count
from edgebench.schema.record import Score

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.networks.scoring import ImageAnswers, OutputsOfFile, ScoreChoice

TARGETS = "classes"
TOP = 5


def asked(network: OutputsOfFile, test: AnnotatedImages, choice: ScoreChoice) -> KeptAnswers:
    classes = len(test.class_names)
    place = _place(network, classes)
    if classes <= TOP and place == 0:
        return KeptAnswers({"kind": "classes"}, f"the largest of {classes}", 2)
    count = TOP if classes > TOP else 1
    reduction = {"kind": "top", "output": place, "count": count}
    return KeptAnswers(reduction, f"the largest of the {classes} values of output {place + 1}", 2 * count)


def scores(answers: Sequence[ImageAnswers], test: AnnotatedImages, asked: KeptAnswers) -> tuple[Score, ...]:
    """Top-5 alone: top-1 has the answer to each image in the record."""
    import numpy as np

    if asked.reduction.get("count") != TOP:
        return ()
    best = np.array([one[0] for one in answers], np.int64)
    return (Score("top-5", float((best == np.asarray(test.targets)[:, None]).any(1).mean())),)


def _place(network: OutputsOfFile, classes: int) -> int:
    """The first output with so many numbers. Raises UserError if all sizes are known and none is that."""
    counts = [class_count(one) for one in network.outputs]
    for place, count in enumerate(counts):
        if count == classes:
            return place
    if not counts or None in counts:
        return 0
    answered = counts[0] if len(counts) == 1 else ", ".join(map(str, counts))
    raise UserError(
        network.name,
        f"it answers with {answered} numbers, the test images have {classes} classes",
        "Give the data that it was trained for: a folder, or a name, for each of its classes",
    )
