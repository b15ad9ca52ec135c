"""`compare`, and `demo`, which ends in a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli._comparison import be_strict, show
from edgebench.cli._reports import with_reports
from edgebench.cli._terminal import (
    RESULTS,
    Intensity,
    Results,
    Strict,
    check_outputs,
    end_if_skipped,
    example,
    progress,
    say,
    say_skipped,
    say_written,
)

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench compare",
        "edgebench compare desktop-cpu rpi4 --baseline desktop-cpu/ultralight-onnx-fp32 --html report.html",
    )
)
@with_reports
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Targets (newest records), record files, and results folders; default: all targets.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="An artifact, or target/artifact; default: the first valid one.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Per cent within which two times count as the same.", min=0.1, max=50)
    ] = 3.0,
    every: Annotated[bool, typer.Option("--all", help="Every run of each file, not only the newest.")] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE|AGE", help="Every run since: 2026-11-01, or 7d.", show_default=False),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Ratios although conditions differ that must be equal; marked UNLIKE.")
    ] = False,
    reports: dict[str, Path] | None = None,
    intensity: Intensity = None,
    results: Results = RESULTS,
    strict: Strict = False,
) -> None:
    """Compare records: latency, memory, energy, accuracy and size, with ratios to a baseline.

    Two results folders and no baseline: each file of the second against its earlier self in the first.

    Files that are not records are listed and left out; the exit code is then 1.
    """
    from edgebench import compare
    from edgebench.analysis import report, selection

    reports = reports or {}
    check_outputs(*reports.values())
    asked = compare.Asked(tuple(names or ()), baseline, every, selection.since(since) if since else None)
    found = compare.find(results, asked)
    skipped = [error for one in found for error in one.skipped]
    say_skipped(skipped)
    if not all(one.records for one in found):
        end_if_skipped(skipped, "record")
    comparison = compare.of_found(found, asked, compare.Terms(margin / 100, anyway, intensity))
    for form, path in reports.items():
        report.write(comparison, form, path)
        say_written(path)
    show(comparison)
    end_if_skipped(skipped, "record")
    be_strict(comparison, strict)


@app.command(epilog=example("edgebench demo"))
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for checkpoints, bundles and results.")] = Path(),
) -> None:
    """Train, prune, export, measure on this machine and compare: the whole story in a minute or two."""
    from edgebench import demo

    comparison, report_path = demo.demo(folder, progress=progress())
    show(comparison)
    say(f"\nReport: {report_path}")
