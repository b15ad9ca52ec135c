"""The command that says why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import (
    EXIT_USAGE,
    RESULTS,
    Intensity,
    Json,
    Results,
    check_outputs,
    console,
    end_if_skipped,
    example,
    progress,
    say,
    say_skipped,
    write_json,
)

if TYPE_CHECKING:
    from edgebench.analysis.causes.evidence import Wanted

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench explain",
        "edgebench explain desktop-cpu -v",
        "edgebench explain rpi4 --battery-wh 37 --per-second 2 --carbon DEU",
        "edgebench explain rpi4 --deadline-ms 20",
    )
)
def explain(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECORDS]",
            help="Targets (newest records), record files, and results folders; default: all targets.",
            show_default=False,
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            help="Where the measured files are: bundles or folders with them; default: bundles.", show_default=False
        ),
    ] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(help="How often an inference takes longer than this.", min=1e-6, show_default=False),
    ] = None,
    battery_wh: Annotated[
        float | None,
        typer.Option(help="Hours on a battery of so many watt-hours; with --per-second.", min=1e-6, show_default=False),
    ] = None,
    per_second: Annotated[
        float | None,
        typer.Option(help="Inferences a second that the application needs.", min=1e-9, show_default=False),
    ] = None,
    carbon: Annotated[
        str | None,
        typer.Option(metavar="ISO", help="CO2e by this country's grid, e.g. DEU.", show_default=False),
    ] = None,
    intensity: Intensity = None,
    json: Json = None,
    results: Results = RESULTS,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every file, cause and assumption, with what shows it.")
    ] = False,
) -> None:
    """Say why INT8 is not faster, why pruning did not help, what binds a layer, what it costs, how often it is late.

    Each cause comes with its evidence, its share of the time and the command that removes it; evidence that is missing,
    with the command that brings it (mostly: deploy --layers, deploy --energy).
    """
    from edgebench import explain
    from edgebench.analysis import explanation_report

    check_outputs(json)
    wanted = _wanted(deadline_ms, battery_wh, per_second, carbon, intensity)
    found = explain.explain(results, tuple(names or ()), wanted, files=files or (explain.BUNDLES,), progress=progress())
    say_skipped(found.skipped)
    if not found.records:
        end_if_skipped(found.skipped, "record")
    if verbose:
        explanation_report.show(found.explanations, console())
        console().print()
    for line in found.answer:
        console().print(line, markup=False, style="bold")
    write_json(json, {"answer": found.answer, "explanations": found.explanations})
    end_if_skipped(found.skipped, "record")


def _wanted(
    deadline_ms: float | None,
    battery_wh: float | None,
    per_second: float | None,
    country: str | None,
    intensity: float | None,
) -> Wanted:
    from edgebench.analysis.causes.evidence import Wanted
    from edgebench.energy import carbon
    from edgebench.energy.carbon import Grid

    if battery_wh is not None and per_second is None:
        say("--battery-wh needs --per-second: how often does the application infer? For example: --per-second 2")
        raise typer.Exit(EXIT_USAGE)
    grid = carbon.grid(country) if country else None
    if intensity is not None:
        grid = Grid("", intensity, "given by the user")
    return Wanted(None if deadline_ms is None else deadline_ms * 1e6, battery_wh, per_second, grid)
