"""The command that looks into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli._terminal import check_outputs, console, example, progress, say_written

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench inspect bundles/ultralight/onnx-int8.onnx --svg layers.svg",
        "edgebench inspect downloaded.onnx --shape 1x3x224x224 --csv layers.csv",
    )
)
def inspect(
    file: Annotated[Path, typer.Argument(help="A .onnx or .tflite file, of anyone.")],
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]1x3x224x224",
            help="Of an input (the first one without a name) whose sizes a .onnx file leaves open.",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything that was found.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one line per layer.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a picture of sizes and errors per layer.")] = None,
) -> None:
    """What is in a file: operators, precisions, MACs, memory, layer by layer, and how far off they are."""
    from edgebench import inspect
    from edgebench.analysis.report import _inspection
    from edgebench.files import output
    from edgebench.modelfile import feeding

    check_outputs(json, csv, svg)
    found = inspect.inspect(file, shapes=feeding.wish(shape or ()).shapes, progress=progress())
    _inspection.show(found, console())
    if json:
        output.write(json, inspect.as_json(found))
    if csv:
        output.write(csv, _inspection.layers_csv(found))
    if svg:
        from edgebench.analysis.report import _inspection_chart

        output.write(svg, _inspection_chart.svg(found))
    for path in (json, csv, svg):
        if path:
            say_written(path)
