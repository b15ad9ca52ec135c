"""The command that inspects a model file."""

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
    file: Annotated[Path, typer.Argument(help="An .onnx, .tflite or .pte file from any source.")],
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]1x3x224x224",
            help="Input shape, if an .onnx file leaves it open; without NAME that of the first input.",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all findings as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table with one line per layer.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the size and error of each layer.")] = None,
) -> None:
    """Show what is in a model file, layer by layer: operators, precisions, MACs, memory, errors."""
    from edgebench import inspect
    from edgebench.analysis import inspection_report
    from edgebench.files import output
    from edgebench.modelfile import feeding

    check_outputs(json, csv, svg)
    found = inspect.inspect(file, shapes=feeding.parse_request(shape or ()).shapes, progress=progress())
    inspection_report.show(found, console())
    if json:
        output.write(json, inspect.as_json(found))
    if csv:
        output.write(csv, inspection_report.layers_csv(found))
    if svg:
        from edgebench.analysis import inspection_chart

        output.write(svg, inspection_chart.svg(found))
    for path in (json, csv, svg):
        if path:
            say_written(path)
