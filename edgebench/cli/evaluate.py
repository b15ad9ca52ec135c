"""The command that evaluates one network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from edgebench.cli import _own_data
from edgebench.cli._terminal import check_outputs, console, example, progress, say_written

if TYPE_CHECKING:
    from edgebench.networks.evaluation import SplitName

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench evaluate checkpoints/ultralight.safetensors",
        "edgebench evaluate checkpoints/ultralight.safetensors --html ultralight.html --csv ultralight.csv",
    )
)
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint from `edgebench train` or `edgebench prune`.")],
    split: Annotated[str, typer.Option(help="Split: test, validation or train.")] = "test",
    dataset: _own_data.Another = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with charts and pictures.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every number, one per line.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the whole evaluation.")] = None,
) -> None:
    """Accuracy by class, calibration, and pictures of what the network looked at."""
    from edgebench.cli import _evaluation_table
    from edgebench.evaluate import evaluate as run
    from edgebench.networks import evaluation
    from edgebench.networks.evaluation import listing
    from edgebench.schema import checkpoint as checkpoint_
    from edgebench.studies.study import report

    check_outputs(html, csv, json)
    made = run(
        checkpoint, split=cast("SplitName", split), dataset=dataset, pictures=bool(html or json), progress=progress()
    )
    console().print(*_evaluation_table.tables(made), sep="\n\n")
    if html:
        report.write_evaluation(checkpoint_.load(checkpoint), made, html)
        say_written(html)
    if csv:
        listing.write_csv(made, csv)
        say_written(csv)
    if json:
        evaluation.save(made, json)
        say_written(json)
