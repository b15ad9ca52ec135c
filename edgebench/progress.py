"""How a long step reports its progress, without knowing whether anyone watches.

Functions take a `Progress`; the command line passes `Terminal`, a script or a test passes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class ProgressStep(Protocol):
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """`amount` in the unit of the step's total; `note` replaces the text after the bar."""


class Progress(Protocol):
    def step(self, label: str, total: float | None = None) -> AbstractContextManager[ProgressStep]: ...

    def say(self, line: str) -> None:
        """One line that stays."""


class _SilentStep:
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        pass


class Silent:
    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[ProgressStep]:
        yield _SilentStep()

    def say(self, line: str) -> None:
        pass


class _BarStep:
    def __init__(self, bars: RichProgress, label: str, total: float | None) -> None:
        self._bars = bars
        self._task = bars.add_task(escape(label), total=total, note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._bars.update(self._task, advance=amount, note=escape(note))
        self._bars.refresh()


class Terminal:
    """Bars on a terminal, plain lines elsewhere.

    Redraws only when something happened: animating a spinner would take processor time from the worker that is being
    measured on the same machine. lines: for what stays, if not beside the bars.
    """

    def __init__(self, console: Console, lines: Console | None = None) -> None:
        self._console = console
        self._lines = lines or console

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[ProgressStep]:
        if not self._console.is_terminal:
            self._console.print(escape(label))
            yield _SilentStep()
            return
        # Without a total a bar has nothing to show, and in 80 columns the note needs the space.
        counted = () if total is None else (BarColumn(bar_width=20), MofNCompleteColumn())
        bars = RichProgress(
            TextColumn("{task.description}"),
            *counted,
            TimeElapsedColumn(),
            *(() if total is None else (TimeRemainingColumn(),)),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
            auto_refresh=False,
        )
        with bars:
            yield _BarStep(bars, label, total)

    def say(self, line: str) -> None:
        self._lines.print(line, markup=False, highlight=False)
