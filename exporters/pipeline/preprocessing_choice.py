"""How images are prepared for a network that does not say so: as its data set prescribes, or as the user says.

A wrong guess shows in the answers: a trained network is more accurate on images that are prepared as in its training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgebench.errors import UserError
from edgebench.networks.normalisation import DATA_SET, NAMES, named
from edgebench.schema import tensors

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array
    from edgebench.schema.preprocessing import Preprocessing

# From this accuracy on, the images are taken to be prepared as in the network's training.
GOOD = 0.9
# By how much another preprocessing must be more accurate: more than chance explains on 256 images.
CLEARLY = 0.1


def others(prescribed: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    for name, (mean, _) in NAMES.items():
        if len(mean) in (1, len(prescribed.mean)):
            yield name, named(name, prescribed)


def refuse_wrong(
    where: str,
    dataset: str,
    prescribed: Preprocessing,
    answers: Float32Array,
    labels: Int64Array,
    ask: Callable[[Preprocessing], Float32Array],
) -> None:
    """answers: to the images as `prescribed`; ask: gives those to the same images in another way. Raises UserError."""
    accuracy = tensors.accuracy(answers, labels)
    if accuracy >= GOOD:
        return
    accuracies = {name: tensors.accuracy(ask(other), labels) for name, other in others(prescribed)}
    best = max(accuracies, key=accuracies.__getitem__)
    if accuracies[best] >= accuracy + CLEARLY:
        raise UserError(
            where,
            f"accuracy on {len(labels)} images is {accuracy:.0%} when they are prepared as {dataset} prescribes, "
            f"{accuracies[best]:.0%} when prepared as '{best}' (chance: {1 / answers.shape[1]:.0%})",
            f"Use --preprocessing {best}, or --preprocessing {DATA_SET} to keep it as it is",
        )
