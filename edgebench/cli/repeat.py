"""Measuring a record's file again, and packing records so that others can."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli import _completion
from edgebench.cli._terminal import (
    EXIT_UNTRUSTED,
    RESULTS,
    Json,
    Results,
    TargetsFile,
    check_outputs,
    console,
    example,
    progress,
    write_json,
)

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench repeat results/desktop-cpu/20261130T101500.123Z-ultralight-onnx-fp32.json",
        "edgebench repeat theirs.zip --target rpi4",
        "edgebench repeat record.json --files bundles/ultralight --jobs 5",
    )
)
def repeat(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORD...", help="Record files, or what `edgebench publish` made.")
    ],
    target: Annotated[
        str | None,
        typer.Option(
            help="Where, by a name from targets.yaml; default: the record's.",
            show_default=False,
            autocompletion=_completion.targets,
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file, bundle or folder to look for the measured file in; default: here, and beside the results.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="How many times: jobs of one file differ.", min=1, max=1000)] = 3,
    margin: Annotated[
        float, typer.Option(help="Per cent within which a time counts as reproduced.", min=0.1, max=50)
    ] = 10.0,
    energy: Annotated[bool, typer.Option("--energy", help="Its energy windows too (takes minutes).")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="All jobs, even if a condition differs that must be equal.")
    ] = False,
    results: Results = RESULTS,
    targets: TargetsFile = None,
    json: Json = None,
) -> None:
    """Measure a record's file again under its plan: reproduced, not reproduced, or conditions differ.

    The file is found by its content, whatever it is called. Runtime, threads and input sizes are the record's.

    Exits with 0 only if every record was reproduced, else with 3. After Ctrl-C the jobs that ended are judged.
    """
    from edgebench import repeat as repeat_
    from edgebench.schema import targets as targets_

    check_outputs(json)
    known = targets_.find_file(targets)
    options = repeat_.RepeatOptions(jobs, margin / 100, tuple(files or ()), energy, anyway=anyway)
    found = []
    with repeat_.opened(records) as wanted:
        for record, places in wanted:
            device = targets_.load(target or _known_here(record.target.name, known), known)
            one = repeat_.repeat(record, device, results, options.also_in(places), progress=progress(lines_too=True))
            for line in one.lines():
                console().print(line, markup=False)
            found.append(one)
    write_json(json, [one.facts() for one in found])
    if any(one.outcome != "reproduced" for one in found):
        raise typer.Exit(EXIT_UNTRUSTED)


def _known_here(name: str, file: Path) -> str:
    """The record's target. Raises UserError if it is somebody else's: the nearest name here may be another board."""
    from edgebench.errors import UserError
    from edgebench.schema import targets as targets_

    here = targets_.load_all(file)
    if name not in here:
        seen = f"the record is of target '{name}', which {file} does not have"
        raise UserError("--target", seen, f"Say where to measure: --target {' or '.join(sorted(here)[:5])}")
    return name
