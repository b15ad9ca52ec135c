"""A comparison on a terminal, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgebench.cli._terminal import EXIT_UNTRUSTED, console

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison


def show(comparison: Comparison) -> None:
    from edgebench.analysis import terminal_report as terminal

    terminal.show(comparison, console())


def be_strict(comparison: Comparison, strict: bool) -> None:
    if strict and any(row.verdict.level != "valid" for row in comparison.rows):
        raise typer.Exit(EXIT_UNTRUSTED)
