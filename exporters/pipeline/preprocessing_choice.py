"""How images are prepared for a network that does not say so: as its data set prescribes, or as the user says.

A wrong guess shows in the answers: a trained network is more accurate on images that are prepared as in its training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgebench.errors import UnknownName, UserError
from edgebench.schema import tensors
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array

# (mean, std) of one channel, or of three. The name says what (byte / 255 - mean) / std gives.
NAMES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..255": ((0.0,), (1 / 255,)),
    "0..1": ((0.0,), (1.0,)),
    "-1..1": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
DATA_SET = "data-set"
# From this accuracy on, the images are taken to be prepared as in the network's training.
GOOD = 0.9
# By how much another preprocessing must be more accurate: more than chance explains on 256 images.
CLEARLY = 0.1


def named(name: str, prescribed: Preprocessing) -> Preprocessing:
    """prescribed: the data set's, which has the number of channels and the resizing. Raises UserError."""
    if name == DATA_SET:
        return prescribed
    if name not in NAMES:
        raise UnknownName("preprocessing", name, [*NAMES, DATA_SET])
    channels = len(prescribed.mean)
    mean, std = NAMES[name]
    if len(mean) not in (1, channels):
        raise UserError(
            "--preprocessing", f"'{name}' is for {len(mean)} channels, the images have {channels}", "Choose another one"
        )
    return Preprocessing(mean * (channels // len(mean)), std * (channels // len(std)), prescribed.resize)


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
