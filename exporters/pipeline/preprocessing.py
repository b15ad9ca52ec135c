"""How images become the input of a network that does not say so: by what its data set prescribes, or as the user says.

A wrong guess is found by asking: a trained network is right more often on images that are prepared as it wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgebench.errors import UnknownName, UserError
from edgebench.schema import tensors as parity
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array

# (mean, std) of one channel, or of three: what (byte / 255 - mean) / std makes of a byte is in the name.
NAMES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..255": ((0.0,), (1 / 255,)),
    "0..1": ((0.0,), (1.0,)),
    "-1..1": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
DATA_SET = "data-set"
# A network that is right this often is taken to see what it was trained on.
GOOD = 0.9
# By how much another preprocessing must be better: on 256 images more than chance does.
CLEARLY = 0.1


def named(name: str, prescribed: Preprocessing) -> Preprocessing:
    """prescribed: the data set's, which says how many channels there are and what is resized. Raises UserError."""
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
    """answers: to the images as `prescribed`; ask: the same images in another way. Raises UserError."""
    accuracy = parity.accuracy(answers, labels)
    if accuracy >= GOOD:
        return
    right = {name: parity.accuracy(ask(other), labels) for name, other in others(prescribed)}
    best = max(right, key=right.__getitem__)
    if right[best] >= accuracy + CLEARLY:
        raise UserError(
            where,
            f"prepared as {dataset} prescribes, {len(labels)} images are named rightly in {accuracy:.0%} of cases, "
            f"prepared as '{best}' in {right[best]:.0%} (chance is {1 / answers.shape[1]:.0%})",
            f"Say --preprocessing {best}, or --preprocessing {DATA_SET} to keep it as it is",
        )
