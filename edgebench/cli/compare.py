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
    reports: dict[str, Path] | None = None,
    intensity: Intensity = None,
    results: Results = RESULTS,
    strict: Strict = False,
) -> None:
    """Compare records: latency, memory, energy, accuracy and size, with ratios to a baseline.

    Files that are not records are listed and left out; the exit code is then 1.
    """
    from edgebench import compare
    from edgebench.analysis import report

    reports = reports or {}
    check_outputs(*reports.values())
    selected = compare.select(results, names or [])
    say_skipped(selected.skipped)
    if not selected.records:
        end_if_skipped(selected.skipped, "record")
    comparison = compare.compare(
        selected.records,
        baseline=baseline,
        intensity_g_per_kwh=intensity,
        history=compare.history(selected.records),
    )
    for form, path in reports.items():
        report.write(comparison, form, path)
        say_written(path)
    show(comparison)
    end_if_skipped(selected.skipped, "record")
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
