"""`compare`, and `demo`, which ends in a comparison."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli import _gate
from edgebench.cli._comparison import Verbose, be_strict, show
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
    say_skipped,
    say_written,
)

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison
    from edgebench.compare import Asked

app = typer.Typer()


@app.command(
    epilog=example(
        "edgebench compare",
        "edgebench compare desktop-cpu rpi4 --baseline desktop-cpu/ultralight-onnx-fp32 --html report.html",
        "edgebench compare results-of-main results",
        "edgebench compare --html report.html --figures figures",
        'edgebench compare --baseline results-of-main --fail-if "latency_p50 > 1.05" --junit gate.xml',
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
        str | None,
        typer.Option(
            help="An artifact, target/artifact, or earlier results (folder, record file or publication); default: the "
            "first valid one."
        ),
    ] = None,
    fail_if: Annotated[list[str] | None, typer.Option(metavar="CHECK", help=_gate.FAIL_IF, show_default=False)] = None,
    unresolved: Annotated[
        str, typer.Option(metavar="fail|pass", help="What --fail-if does about checks that are not resolved.")
    ] = "pass",
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
    max_drop: Annotated[
        float, typer.Option(help="Points of accuracy that the file to ship may lose against its float parent.", min=0)
    ] = 1.0,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Least accuracy of the file to ship, in per cent.", show_default=False)
    ] = None,
    max_ms: Annotated[float | None, typer.Option(help="Its longest p50, in ms.", show_default=False)] = None,
    max_mb: Annotated[float | None, typer.Option(help="Its largest size, in MB.", show_default=False)] = None,
    max_mj: Annotated[float | None, typer.Option(help="Its most energy, in mJ.", show_default=False)] = None,
    reports: dict[str, Path] | None = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write every figure of the report as SVG, PNG and PDF.", show_default=False),
    ] = None,
    intensity: Intensity = None,
    results: Results = RESULTS,
    strict: Strict = False,
    verbose: Verbose = False,
) -> None:
    """Compare records: latency, memory, energy, accuracy and size, with ratios to a baseline.

    Two results folders and no baseline: each file of the second against its earlier self in the first.

    --fail-if: METRIC > VALUE or METRIC < VALUE; metrics are latency_p50, latency_p90, latency_p99, energy, accuracy,
    memory and size. 1.05 or +5% is against the baseline, -0.3pt points of accuracy, 20ms a budget.

    Files that are not records are listed and left out; the exit code is then 1.
    """
    from edgebench import compare
    from edgebench.analysis import figure_files, gate, report, selection
    from edgebench.analysis.comparison import ShipLimits

    reports = reports or {}
    check_outputs(*reports.values())
    if figures:
        figure_files.check(figures)
    checks = tuple(map(gate.parse, fail_if or ()))
    _gate.check_word(unresolved, "pass", "fail")
    asked = compare.Asked(tuple(names or ()), baseline, every, selection.since(since) if since else None)
    found = compare.find(results, asked)
    skipped = [error for one in found for error in one.skipped]
    say_skipped(skipped)
    if not all(one.records for one in found):
        end_if_skipped(skipped, "record")
    limits = ShipLimits(
        max_drop / 100,
        None if min_accuracy is None else min_accuracy / 100,
        None if max_ms is None else max_ms / 1e3,
        None if max_mb is None else max_mb * 1e6,
        None if max_mj is None else max_mj / 1e3,
    )
    comparison = compare.of_found(found, asked, compare.Terms(margin / 100, anyway, intensity, limits, checks))
    for form, path in reports.items():
        report.write(comparison, form, path)
        say_written(path)
    for path in figure_files.write(comparison, figures) if figures else ():
        say_written(path)
    show(comparison, verbose=verbose, following=_next(comparison, asked, reports))
    end_if_skipped(skipped, "record")
    be_strict(comparison, strict)
    _gate.end(comparison, unresolved)


def _next(comparison: Comparison, asked: Asked, reports: dict[str, Path]) -> str:
    """What helps most: ratios that are resolved, else the report."""
    unresolved = [row for row in comparison.rows if row.outcome == "not resolved"]
    if unresolved:
        target = unresolved[0].record.target.name
        if any(row.ratio and row.ratio.spread and not row.ratio.spread.is_known for row in unresolved):
            return f"edgebench selftest --target {target} (by how much its jobs differ), then compare again"
        if unresolved[0].record.plan.preset == "quick":
            return f"edgebench deploy --target {target} --plan default"
    if "html" in reports:
        return f"open {reports['html']}"
    typed = [*asked.names, *(["--baseline", asked.baseline] if asked.baseline else [])]
    return shlex.join(["edgebench", "compare", *typed, "--html", "report.html"])


@app.command(epilog=example("edgebench demo"))
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for checkpoints, bundles and results.")] = Path(),
    json: Annotated[Path | None, typer.Option(help="Write the comparison as JSON.", show_default=False)] = None,
    verbose: Verbose = False,
) -> None:
    """Train, prune, export, measure on this machine and compare: the whole story in a minute or two."""
    from edgebench import demo
    from edgebench.analysis import report

    check_outputs(json)
    comparison, report_path = demo.demo(folder, progress=progress(lines_too=True))
    if json:
        report.write(comparison, "json", json)
        say_written(json)
    following = f"edgebench deploy --target YOUR_BOARD {folder / 'bundles' / 'demo-pruned'} (report: {report_path})"
    show(comparison, verbose=verbose, following=following)
