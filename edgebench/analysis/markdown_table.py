"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Lines. The first `left` columns are left-aligned, the numbers after them right-aligned."""
    rules = ["---"] * left + ["--:"] * (len(headings) - left)
    return [_line(headings), _line(rules), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
