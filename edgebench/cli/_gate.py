"""The options of a gate for continuous integration, and how a command ends that has one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import EXIT_UNTRUSTED, console, say_written

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison

_PANEL = "A gate"
FAIL_IF = (
    'Exit with 3 if a file is worse than this beyond chance ("latency_p50 > 1.05", "accuracy < -0.3pt"), or breaks a '
    'budget ("latency_p99 < 20ms", "size < 500kB for *-int8").'
)
FailIf = Annotated[
    list[str] | None,
    typer.Option("--fail-if", metavar="CHECK", help=FAIL_IF, show_default=False, rich_help_panel=_PANEL),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="OLD",
        help="The old file or bundle, or a record, results folder or publication of it, whose file is then found by "
        "its content: measured in the same job, round by round.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Unresolved = Annotated[
    str,
    typer.Option(
        "--unresolved",
        metavar="measure|pass|fail",
        help="What --fail-if does about checks that are not resolved; measure: once more, for longer, then pass.",
        rich_help_panel=_PANEL,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", help="Write the checks as JUnit XML.", show_default=False, rich_help_panel=_PANEL),
]
Summary = Annotated[
    Path | None,
    typer.Option(
        "--summary", help="Write them as Markdown, for a pull request.", show_default=False, rich_help_panel=_PANEL
    ),
]


def check_word(unresolved: str, *words: str) -> None:
    if unresolved not in words:
        remedy = "" if "measure" in words else " (only deploy can measure more)" * (unresolved == "measure")
        raise typer.BadParameter(f"give {', '.join(words[:-1])} or {words[-1]}{remedy}", param_hint="--unresolved")


def write(comparison: Comparison, reports: dict[str, Path | None]) -> None:
    """reports: by format."""
    from edgebench.analysis import report

    for form, path in reports.items():
        if path is not None:
            report.write(comparison, form, path)
            say_written(path)


def end(comparison: Comparison, unresolved: str) -> None:
    """Raises Exit if a check failed."""
    states = {one.state for one in comparison.checks}
    if "failed" in states or ("not resolved" in states and unresolved == "fail"):
        raise typer.Exit(EXIT_UNTRUSTED)
    if "not resolved" in states:
        count = sum(one.state == "not resolved" for one in comparison.checks)
        said = f"{count} of {len(comparison.checks)} checks not resolved, which passes (--unresolved fail: it does not)"
        console(stderr=True).print(f"[yellow]warning:[/] {said}")
