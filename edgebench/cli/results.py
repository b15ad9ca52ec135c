"""Commands about records that were saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli import _completion
from edgebench.cli._terminal import (
    EXIT_USAGE,
    RESULTS,
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
    from edgebench.results import WantedRecords
    from edgebench.schema.record import Record

app = typer.Typer(
    help="List, show, remove and push records.",
    epilog=example("edgebench results list"),
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Target = Annotated[
    str | None,
    typer.Option(
        "--target", help="Only those of this target.", show_default=False, autocompletion=_completion.measured
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="DATE|AGE", help="Only those since: 2026-11-01, or 7d.", show_default=False),
]
Pattern = Annotated[
    str | None,
    typer.Argument(
        metavar="[PATTERN]",
        help="Only artifacts, target/artifacts, runtimes or names that fit: '*-int8', 'rpi4/*'.",
        show_default=False,
    ),
]


def _wanted(target: str | None, since: str | None, pattern: str | None) -> WantedRecords:
    from edgebench.analysis import selection
    from edgebench.results import WantedRecords

    return WantedRecords(target, selection.since(since) if since else None, pattern)


@app.command("list", epilog=example("edgebench results list --since 7d", "edgebench results list '*-int8' --json -"))
def list_results(
    pattern: Pattern = None, target: Target = None, since: Since = None, folder: Results = RESULTS, json: Json = None
) -> None:
    """List records by target, artifact, runtime, date and verdict; damaged files with the reason.

    Exits with 1 if there are damaged files.
    """
    from edgebench import results

    check_outputs(json)
    kept = results.results(folder, _wanted(target, since, pattern))
    _show_table(kept.records)
    say_skipped(kept.damaged)
    damaged = [{"path": error.where, "reason": error.seen} for error in kept.damaged]
    write_json(json, {"records": list(map(results.line, kept.records)) if json else [], "damaged": damaged})
    end_if_skipped(kept.damaged, "record")


def _show_table(records: list[Record]) -> None:
    """Plain columns: Rich's tables take seconds for ten thousand lines."""
    from edgebench.analysis import comparability, formatting, record_statistics

    if not records:
        say("0 records")
        return
    lines = [("target", "artifact", "runtime", "UTC", "p50", "verdict")]
    for record in records:
        found = record_statistics.of(record)
        made = comparability.moment(record)
        created = f"{made:%Y-%m-%d %H:%M}" if made else record.created
        p50 = "-" if found.p50_ns is None else formatting.time(found.p50_ns.value)
        names = (record.target.name, record.artifact.name, record.runtime.name)
        lines.append((*names, created, p50, found.verdict.level))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    say(f"{len(records):,} record{'s' * (len(records) != 1)}")


@app.command(
    epilog=example(
        "edgebench results show 20261130T101500",
        "edgebench results show results/rpi4/20261130T101500.123Z-net-onnx-fp32.json --json -",
    )
)
def show(
    name: Annotated[str, typer.Argument(help="Its path, its name, or the beginning of its name.")],
    folder: Results = RESULTS,
    json: Json = None,
) -> None:
    """Show one record: statistics, verdict with its reasons, plan and facts."""
    from edgebench import results
    from edgebench.analysis import record_text

    check_outputs(json)
    record = results.record(folder, name)
    for line in record_text.lines(record):
        console().print(line, markup=False, soft_wrap=True)
    write_json(json, results.facts(record))


@app.command(
    "rm",
    epilog=example(
        "edgebench results rm 20261130T101500.123Z-net-onnx-fp32",
        "edgebench results rm --target rpi4 --pattern '*-int8' --dry-run",
    ),
)
def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Paths, names, or the beginnings of names, one record each.", show_default=False),
    ] = None,
    target: Target = None,
    since: Since = None,
    pattern: Annotated[str | None, typer.Option(help="Only those that fit, as for list.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    folder: Results = RESULTS,
) -> None:
    """Remove records, damaged ones too, from the results folder; nothing outside it."""
    from edgebench import results

    filtered = any(one is not None for one in (target, since, pattern))
    if bool(names) == filtered:
        say("Give either names, or --target, --since or --pattern")
        raise typer.Exit(EXIT_USAGE)
    chosen = results.to_remove(folder, names or [], _wanted(target, since, pattern))
    for path in chosen:
        say(str(path))
    count = f"{len(chosen)} record{'s' * (len(chosen) != 1)}"
    if not chosen:
        say(f"No record in {folder} fits: nothing was removed")
        return
    if dry_run:
        say(f"{count} would be removed")
        return
    if not yes:
        typer.confirm(f"Remove {count}?", abort=True, err=True)
    results.remove(chosen)
    say(f"{count} removed")


@app.command(
    epilog=example(
        "edgebench results push --mlflow http://127.0.0.1:5000",
        "edgebench results push --mlflow http://127.0.0.1:5000 --experiment rpi4 --target rpi4 --since 7d",
    )
)
def push(
    mlflow: Annotated[str, typer.Option(metavar="URI", help="MLflow's tracking server.", show_default=False)],
    pattern: Pattern = None,
    experiment: Annotated[str, typer.Option(help="MLflow's experiment, made if it is not there.")] = "edgebench",
    target: Target = None,
    since: Since = None,
    folder: Results = RESULTS,
    json: Json = None,
) -> None:
    """Push records to MLflow, one run each; what is there already is not pushed again."""
    from edgebench import results

    check_outputs(json)
    kept = results.results(folder, _wanted(target, since, pattern))
    say_skipped(kept.damaged)
    pushed = results.push(kept.records, mlflow, experiment, progress=progress())
    count = len(pushed.made)
    known = f"; {pushed.known} were there already" if pushed.known else ""
    say(f"{count} record{'s' * (count != 1)} pushed to {experiment} at {mlflow}{known}")
    write_json(json, pushed)
    end_if_skipped(kept.damaged, "record")
