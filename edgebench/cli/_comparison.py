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
    from edgebench.analysis import answer
    from edgebench.analysis import terminal_report as terminal

    terminal.show(comparison, console(), verbose=verbose)
    found = answer.of(comparison, following)
    console().print()
    for line in found.lines:
        console().print(line, markup=False, style="bold")


def be_strict(comparison: Comparison, strict: bool) -> None:
    if strict and any(row.verdict.level != "valid" for row in comparison.rows):
        raise typer.Exit(EXIT_UNTRUSTED)
