"""The command that finds out which differences a device can resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli import _completion
from edgebench.cli._terminal import (
    EXIT_INTERRUPTED,
    EXIT_UNTRUSTED,
    Json,
    TargetsFile,
    check_outputs,
    console,
    example,
    progress,
    say,
    write_json,
)

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench selftest --target desktop-cpu",
        "edgebench selftest --target rpi4 model.onnx --runs 3",
        "edgebench selftest --example simulated-boards",
    )
)
def selftest(
    file: Annotated[
        Path | None, typer.Argument(help="A file or bundle; default: a tiny one.", show_default=False)
    ] = None,
    target: Annotated[
        str, typer.Option(help="A name from targets.yaml.", autocompletion=_completion.targets)
    ] = "desktop-cpu",
    preset: Annotated[str, typer.Option("--plan", help="How hard to measure: quick or default.")] = "default",
    runs: Annotated[
        int,
        typer.Option(
            help="Number of jobs with sampling of the device between rounds, and the same number without.", min=1
        ),
    ] = 6,
    example_folder: Annotated[
        Path | None,
        typer.Option(
            "--example", help="Write bundles for the simulated target to this folder and exit.", show_default=False
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for the records; default: they are not kept.", show_default=False),
    ] = None,
    targets: TargetsFile = None,
    json: Json = None,
) -> None:
    """Compare a file with itself on a device, to find its noise and the smallest difference that it can resolve.

    Exits with 3 if the device is too noisy for the plan. After Ctrl-C the finished jobs are reported.
    """
    from edgebench import selftest as selftest_
    from edgebench.device import simulated
    from edgebench.schema import plan
    from edgebench.schema import targets as targets_

    check_outputs(json)
    if example_folder:
        for path in simulated.write_examples(example_folder):
            say(f"edgebench deploy --target simulated {path}")
        return
    found = selftest_.selftest(
        targets_.load(target, targets_.find_file(targets)),
        plan.named(preset),
        file=file,
        runs=runs,
        results=results,
        progress=progress(lines_too=True),
    )
    for line in found.lines():
        console().print(line, markup=False)
    write_json(json, found.facts())
    if found.stopped:
        raise typer.Exit(EXIT_INTERRUPTED)
    if found.useless:
        raise typer.Exit(EXIT_UNTRUSTED)
