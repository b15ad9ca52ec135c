"""Options for networks that are not checkpoints, shared by the commands that take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgebench.networks.starting import StartingPoint
    from edgebench.schema.preprocessing import Geometry

PANEL = "Networks that are not checkpoints"

Network = Annotated[
    str,
    typer.Argument(
        help="A checkpoint; or package.module:callable, whose code is run here, or a name from `edgebench models`, "
        "with --dataset and --weights."
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|imagenet",
        help="Weights to start from: .safetensors, .pt, .pth, .ckpt, FILE:KEY; imagenet: torchvision's.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Arguments = Annotated[
    list[str],
    typer.Option(
        "--argument",
        help="NAME=VALUE, an argument of the network or callable; repeatable.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]


def starting_point(
    name: str,
    dataset: str | None,
    *,
    weights: str | None,
    arguments: list[str],
    preprocessing: str | None,
    geometry: Geometry | None,
) -> StartingPoint:
    from edgebench.cli._terminal import named_values
    from edgebench.networks.starting import NetworkOptions, StartingPoint

    given = named_values("--argument", arguments, "num_classes=10")
    return StartingPoint(name, dataset, NetworkOptions(given, weights, preprocessing, geometry))
