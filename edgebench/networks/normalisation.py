"""How bytes become a network's numbers, by name."""

from __future__ import annotations

from edgebench.errors import UnknownName, UserError
from edgebench.schema.preprocessing import Preprocessing

# (mean, std) of one channel, or of three: what (byte / 255 - mean) / std makes of a byte is in the name.
NAMES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..255": ((0.0,), (1 / 255,)),
    "0..1": ((0.0,), (1.0,)),
    "-1..1": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
DATA_SET = "data-set"


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
    times = channels // len(mean)
    return Preprocessing(mean * times, std * times, prescribed.resize, prescribed.geometry)


def channels_of(name: str | None) -> int | None:
    """How many channels a named preprocessing is for; None if that does not matter."""
    return 3 if name in NAMES and len(NAMES[name][0]) == 3 else None
