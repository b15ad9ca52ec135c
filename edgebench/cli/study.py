"""Commands that reproduce a study."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import (
    EXIT_INTERRUPTED,
    EXIT_USER,
    RESULTS,
    Results,
    TargetsFile,
    console,
    example,
    progress,
    say,
)

if TYPE_CHECKING:
    from edgebench.studies.study import StudyOutcome

app = typer.Typer(
    help="Reproduce a study and see which of its claims hold.",
    epilog=example("edgebench study run studies/plos-mlp.yaml --subset"),
    no_args_is_help=True,
    rich_markup_mode="rich",
)

StudyFile = Annotated[Path, typer.Argument(help="A study file, e.g. studies/plos-mlp.yaml.")]


@app.command(
    epilog=example(
        "edgebench study run studies/plos-mlp.yaml --subset",
        "edgebench study run studies/light-cnn.yaml --only budgets --jobs 2",
        "edgebench study run studies/approx-compression.yaml --on ray://head:10001",
    )
)
def run(
    file: StudyFile,
    only: Annotated[list[str] | None, typer.Option(help="Run this part only; repeatable.")] = None,
    subset: Annotated[bool, typer.Option("--subset", help="Run a smaller matrix, for two cores.")] = False,
    on: Annotated[str, typer.Option(help="Where to train: local, or ray://host:port.")] = "local",
    jobs: Annotated[int, typer.Option(help="Networks to train at once.", min=1)] = 1,
    plan: Annotated[str, typer.Option(help="How hard to measure: quick or default.")] = "quick",
    measure: Annotated[bool, typer.Option(help="Export and time the networks; the machine should be idle.")] = True,
    results: Results = RESULTS,
    targets: TargetsFile = None,
) -> None:
    """Train, change, export and measure a study's networks, and write its report.

    Finished steps are not repeated. Interrupted? Run the same command again: it continues where it stopped.
    """
    from edgebench.studies import study

    try:
        outcome = study.run(
            file,
            study.StudyOptions(tuple(only or ()), subset, on, jobs, plan, measure),
            folder=results,
            targets_file=targets,
            progress=progress(),
        )
    except KeyboardInterrupt:
        say("Stopped. Run the same command again to continue.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _show(outcome)
    say(f"\nReport: {outcome.report}")
    if outcome.failures:
        raise typer.Exit(EXIT_USER)


@app.command(epilog=example("edgebench study exact studies/ultralight.yaml"))
def exact(file: StudyFile) -> None:
    """Check the numbers that follow from the architectures alone, without training."""
    from rich.table import Table

    from edgebench.studies.study import exact as exact_
    from edgebench.studies.study import file_checks

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("network and quantity", "study", "computed", ""):
        table.add_column(heading, justify="left" if heading.startswith("network") else "right")
    study = file_checks.load(file)
    wrong = 0
    with progress().step("Computing", total=len(study.exact)) as step:
        for one in study.exact:
            for checked in exact_.check(one):
                wrong += not checked.holds
                numbers = map(_number, (checked.expected, checked.seen))
                table.add_row(checked.what, *numbers, "=" if checked.holds else "differs")
            step.advance()
    console().print(table)
    if wrong:
        say(f"{wrong} of {table.row_count} differ")
        raise typer.Exit(EXIT_USER)


@app.command("list", epilog=example("edgebench study list studies/plos-mlp.yaml --subset"))
def list_steps(
    file: StudyFile,
    subset: Annotated[bool, typer.Option("--subset", help="List the smaller matrix.")] = False,
) -> None:
    """List the parts of a study and how many networks each trains."""
    from rich.table import Table

    from edgebench.studies.study import file_checks, matrix

    study = file_checks.load(file)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("part", "variants", "trainings", "what it is"):
        table.add_column(heading)
    for name, part in matrix.parts(study, subset=subset).items():
        expanded = matrix.expand({name: part})
        trainings = sum(step.kind != "read" for step in expanded.steps.values())
        table.add_row(name, str(len({cell.label for cell in expanded.cells})), str(trainings), part.about)
    console().print(table)


def _show(outcome: StudyOutcome) -> None:
    from rich.markup import escape

    colours = {"reproduced": "green", "not reproduced": "red", "unsupported": "yellow"}
    shown = console()
    for verdict in outcome.claims:
        shown.print(f"[{colours[verdict.standing]}]{verdict.standing}[/]: {escape(verdict.says)}")
        shown.print(f"  [dim]{escape(verdict.seen)}[/dim]")
        if verdict.why:
            shown.print(f"  {escape(verdict.why)}")
    for detector, findings in groupby(outcome.findings, lambda finding: finding.detector):
        first, *others = findings
        more = f" [dim](and {len(others)} more in the report)[/dim]" if others else ""
        shown.print(f"[yellow]{detector}[/]: {escape(first.where)}: {escape(first.seen)}{more}")
    for failure in outcome.failures:
        shown.print(f"[red]not made[/]: {escape(failure.what)}: {escape(str(failure.error))}")


def _number(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
