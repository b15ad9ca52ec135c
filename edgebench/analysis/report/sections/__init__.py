"""Sections of the report below its main table, one file each; the folder is the registry.

    PLACE: int                                              lower ones come first; what is read first is below 100
    sections(comparison) -> Iterator[PageSection]           nothing without data: no empty box

A file may yield text, tables and figures. The HTML report shows all of them, `compare --figures` writes the figures.
Sections import altair inside their functions (`_drawing` does).
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebench import plugins

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison


@dataclass(frozen=True)
class PageTable:
    """Cells are text. The first `words` columns are words, the others numbers; the first names its row. sums: rows
    below a line. wraps: long cells take several lines.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sums: tuple[tuple[str, ...], ...] = ()
    words: int = 1
    note: str = ""
    wraps: bool = False


@dataclass(frozen=True)
class Figure:
    """name: of its files. panels: Vega-Lite specifications with their data, one below the other, without a theme.

    said: what it shows in a sentence with its numbers, for those who cannot see it.
    """

    name: str
    title: str
    said: str
    panels: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class PageSection:
    """text: how to read it. lines: single findings or commands. remarks: (level, text), with a badge."""

    heading: str
    text: str = ""
    remarks: tuple[tuple[str, str], ...] = ()
    tables: tuple[PageTable, ...] = ()
    figures: tuple[Figure, ...] = ()
    commands: tuple[str, ...] = ()


def of(comparison: Comparison) -> list[PageSection]:
    """All that have something to show, in the order of the page; no two figures have one name."""
    modules: list[Any] = [plugins.load(__name__, name, kind="section") for name in plugins.names(__name__)]
    modules.sort(key=lambda one: (one.PLACE, one.__name__))
    used: Counter[str] = Counter()
    with _unchecked():
        return [_named_apart(section, used) for one in modules for section in one.sections(comparison)]


def _unchecked() -> AbstractContextManager[None]:
    """Charts that altair does not hold against its schema, which takes longer than making them; tests draw them all."""
    from altair.utils import schemapi

    return schemapi.debug_mode(False)


def _named_apart(section: PageSection, used: Counter[str]) -> PageSection:
    figures = []
    for figure in section.figures:
        used[figure.name] += 1
        count = used[figure.name]
        figures.append(figure if count == 1 else replace(figure, name=f"{figure.name}-{count}"))
    return replace(section, figures=tuple(figures))
