"""Options that say how a user's own images are read, shared by the commands that take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from edgebench.schema.preprocessing import Geometry

DATA = "A data set: built in, a folder of class folders, .csv, .jsonl, .npz, package.module:callable."
OWN = "Own images"

Preprocessing = Annotated[
    str | None,
    typer.Option(help="Of images, if not the data set's: 0..1, 0..255, -1..1, imagenet.", show_default=False),
]
Another = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="For a checkpoint: instead of the one it was trained on, with the same classes. Else: what it is for.",
        show_default=False,
    ),
]
Resize = Annotated[
    str | None, typer.Option(metavar="256|HxW", help="The shorter side, or height x width.", rich_help_panel=OWN)
]
Crop = Annotated[str | None, typer.Option(metavar="224|HxW", help="The middle of it.", rich_help_panel=OWN)]
Letterbox = Annotated[
    str | None,
    typer.Option(metavar="640|HxW", help="Instead: the whole image, with grey around it.", rich_help_panel=OWN),
]
Interpolate = Annotated[
    Literal["bilinear", "bicubic"],
    typer.Option("--interpolation", help="How --resize computes pixels.", rich_help_panel=OWN),
]
Antialias = Annotated[
    bool,
    typer.Option("--antialias/--no-antialias", help="Smooth images that --resize shrinks.", rich_help_panel=OWN),
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Count images that cannot be decoded, and go on.", rich_help_panel=OWN)
]
SplitSeed = Annotated[
    int, typer.Option("--split-seed", help="Seed of the split, for data without one.", min=0, rich_help_panel=OWN)
]


def geometry(
    resize: str | None,
    crop: str | None,
    interpolation: Literal["bilinear", "bicubic"],
    antialias: bool,
    letterbox: str | None = None,
) -> Geometry | None:
    """None where nothing changes the size of an image. Raises UserError."""
    from edgebench.errors import UserError
    from edgebench.schema.preprocessing import Geometry

    if letterbox is not None:
        if resize is not None or crop is not None:
            raise UserError("--letterbox", "it stands instead of --resize and --crop", "Leave these or it out")
        sides = _sides("--letterbox", letterbox)
        return Geometry(None, None, interpolation, antialias, (sides[0], sides[-1]))
    if resize is None and (interpolation != "bilinear" or not antialias):
        raise UserError("--interpolation", "nothing is resized", "Add --resize 256, or leave it out")
    if resize is None and crop is None:
        return None
    cut = None if crop is None else _sides("--crop", crop)
    return Geometry(
        None if resize is None else _sides("--resize", resize),
        None if cut is None else (cut[0], cut[-1]),
        interpolation,
        antialias,
    )


def _sides(option: str, text: str) -> tuple[int, ...]:
    from edgebench.errors import UserError

    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) <= 2**16 for side in sides):
        raise UserError(option, f"'{text}' is not a size in pixels", f"Write {option} 256, or {option} 224x320")
    return tuple(map(int, sides))


def address(name: str | None, seed: int, skip_broken: bool) -> str | None:
    """A data set's name with what stands beside it on the command line."""
    from edgebench.networks.own_data.address import with_options

    return None if name is None else with_options(name, seed=seed, skip_broken=skip_broken)
