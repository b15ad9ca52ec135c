"""A comparison on a terminal, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import EXIT_UNTRUSTED, console

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Every reason, note and missing meter, not one line for each cause.")
]


def show(comparison: Comparison, *, verbose: bool, following: str) -> None:
    """The tables, then the answer. following: the next command."""
    from edgebench.analysis import answer, layer_report
    from edgebench.analysis import terminal_report as terminal

    terminal.show(comparison, console(), verbose=verbose)
    layer_report.show([row.record for row in comparison.rows], console())
    _show_checks(comparison)
    found = answer.of(comparison, following)
    console().print()
    for line in found.lines:
        console().print(line, markup=False, style="bold")


def _show_checks(comparison: Comparison) -> None:
    """Each check that did not pass, and how many did."""
    if not comparison.checks:
        return
    console().print()
    styles = {"failed": "red", "not resolved": "yellow"}
    for one in comparison.checks:
        if one.state in styles:
            line = f"{one.state}: {one.expression}: {one.artifact} on {one.target}: {one.said}"
            console().print(line, markup=False, style=styles[one.state])
    count = sum(one.state == "passed" for one in comparison.checks)
    console().print(f"{count} of {len(comparison.checks)} checks passed")


def be_strict(comparison: Comparison, strict: bool) -> None:
    if strict and any(row.verdict.level != "valid" for row in comparison.rows):
        raise typer.Exit(EXIT_UNTRUSTED)
