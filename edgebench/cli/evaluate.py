"""The command that evaluates one network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from edgebench.cli import _own_data, _own_network
from edgebench.cli._terminal import check_outputs, console, example, progress, say_written

if TYPE_CHECKING:
    from edgebench.networks.evaluation import SplitName

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench evaluate checkpoints/ultralight.safetensors",
        "edgebench evaluate checkpoints/ultralight.safetensors --html ultralight.html --csv ultralight.csv",
        "edgebench evaluate my.models:make --weights best.pth --dataset photos/",
    )
)
def evaluate(
    network: _own_network.Network,
    split: Annotated[str, typer.Option(help="Split: test, validation or train.")] = "test",
    dataset: _own_data.Another = None,
    weights: _own_network.Weights = None,
    argument: _own_network.Arguments = [],  # noqa: B006
    preprocessing: _own_data.Preprocessing = None,
    resize: _own_data.Resize = None,
    crop: _own_data.Crop = None,
    interpolation: _own_data.Interpolate = "bilinear",
    antialias: _own_data.Antialias = True,
    skip_broken: _own_data.SkipBroken = False,
    split_seed: _own_data.SplitSeed = 0,
    html: Annotated[Path | None, typer.Option(help="Write a report with charts and pictures.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every number, one per line.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the whole evaluation.")] = None,
) -> None:
    """Accuracy by class, calibration, and pictures of what the network looked at."""
    from edgebench.cli import _evaluation_table
    from edgebench.errors import UserError
    from edgebench.evaluate import evaluate as run
    from edgebench.networks import evaluation
    from edgebench.networks.evaluation import listing
    from edgebench.schema import checkpoint as checkpoint_
    from edgebench.studies.study import report

    check_outputs(html, csv, json)
    start = _own_network.starting_point(
        network,
        _own_data.address(dataset, split_seed, skip_broken),
        weights=weights,
        arguments=argument,
        preprocessing=preprocessing,
        geometry=_own_data.geometry(resize, crop, interpolation, antialias),
    )
    if html and not start.is_checkpoint:
        raise UserError("--html", f"the report shows a checkpoint's history, which {network} has not", "Use --json")
    made = run(start, split=cast("SplitName", split), pictures=bool(html or json), progress=progress())
    console().print(*_evaluation_table.tables(made), sep="\n\n")
    if html:
        report.write_evaluation(checkpoint_.load(Path(network)), made, html)
        say_written(html)
    if csv:
        listing.write_csv(made, csv)
        say_written(csv)
    if json:
        evaluation.save(made, json)
        say_written(json)
