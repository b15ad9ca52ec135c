"""The command that says why."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import (
    EXIT_USAGE,
    RESULTS,
    Intensity,
    Json,
    Results,
    TargetsFile,
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
    from edgebench.analysis.published.difference import AgainstRow

app = typer.Typer()
# What nobody means, and what numbers are no longer printed for.
MOST = 1e9


@app.command(
    epilog=example(
        "edgebench explain",
        "edgebench explain desktop-cpu -v",
        "edgebench explain rpi4 --battery-wh 37 --per-second 2 --carbon DEU",
        "edgebench explain rpi4 --deadline-ms 20",
        'edgebench explain rpi4 --against "runtime=ncnn threads=4 ms=33.9" --measure',
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
            exists=True,
            help="Where the measured files are: bundles, folders; default: bundles, here and beside the results.",
            show_default=False,
        ),
    ] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(help="How often an inference takes longer than this.", min=1e-6, max=MOST, show_default=False),
    ] = None,
    battery_wh: Annotated[
        float | None,
        typer.Option(
            help="Hours on a battery of so many watt-hours; with --per-second.", min=1e-6, max=MOST, show_default=False
        ),
    ] = None,
    per_second: Annotated[
        float | None,
        typer.Option(help="Inferences a second that the application needs.", min=1e-9, max=MOST, show_default=False),
    ] = None,
    carbon: Annotated[
        str | None,
        typer.Option(metavar="ISO", help="CO2e by this country's grid, e.g. DEU.", show_default=False),
    ] = None,
    intensity: Intensity = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="ROW",
            help="Why one record's time is not this published one: a row of a table or benchncnn, figures "
            '("runtime=ncnn threads=4 ms=33.9"), a record, perf.yaml#WORD,WORD.',
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="With --against: measure with its threads, runtime and precision, in one job."),
    ] = False,
    json: Json = None,
    results: Results = RESULTS,
    targets: TargetsFile = None,
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
    if against is not None:
        _explain_against(against, Sources(results, tuple(names or ()), files, targets), json, measure=measure)
        return
    if measure:
        say("--measure needs --against ROW: the row whose conditions are measured here")
        raise typer.Exit(EXIT_USAGE)
    wanted = _wanted(deadline_ms, battery_wh, per_second, carbon, intensity)
    places = files or (explain.BUNDLES, results.parent / explain.BUNDLES)
    found = explain.explain(results, tuple(names or ()), wanted, files=places, progress=progress())
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


@dataclass(frozen=True)
class Sources:
    """As typed: where records, their files and targets are."""

    results: Path
    names: tuple[str, ...]
    files: list[Path] | None
    targets: Path | None


def _explain_against(row_text: str, where: Sources, json: Path | None, *, measure: bool) -> None:
    from edgebench import explain
    from edgebench.analysis import published, selection
    from edgebench.analysis.published import difference
    from edgebench.device import at_hand
    from edgebench.schema import targets

    row = published.parse(row_text)
    selected = selection.select(where.results, where.names)
    say_skipped(selected.skipped)
    record = difference.best_record(selected.records, row)
    here = None
    if measure:
        target = targets.load(record.target.name, targets.find_file(where.targets))
        here = explain.MeasureHere(target, where.files or at_hand.places_of(record), where.results)
    found = explain.against(record, row, here, progress(lines_too=True))
    for line in difference.lines(found, _next(found, row_text, record.path, measured=measure)):
        console().print(line, markup=False, style="bold")
    for part in [*found.parts, *([found.together] if found.together else [])]:
        console().print(
            f"  {part.name}: {part.ns / 1e6:.4g} ms ({part.how}), {part.share:.0%} of the gap", markup=False
        )
    for note in row.notes:
        console().print(f"  {note}", markup=False)
    write_json(json, found.facts())
    end_if_skipped(selected.skipped, "record")


def _next(found: AgainstRow, row: str, path: Path | None, *, measured: bool) -> str:
    if found.needs_measuring and not measured:
        return shlex.join(
            ["edgebench", "explain", str(path or found.record.target.name), "--against", row, "--measure"]
        )
    return ""


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
