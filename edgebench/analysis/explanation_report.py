"""Explanations as text: on a terminal, in reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebench.analysis import causes
from edgebench.analysis.causes.evidence import Evidence
from edgebench.analysis.causes.explanation import Explanation
from edgebench.schema.record import Record

if TYPE_CHECKING:
    from rich.console import Console

TITLES = {
    "int8": "Why INT8 is, or is not, faster",
    "pruning": "What pruning brought",
    "roofline": "What binds the layers",
    "cost": "What it costs",
    "deadline": "How often it is late",
}


HEADINGS = ("file, causes", "what shows it, what to do")
# The rest is in `edgebench explain -v`, and its layers in the table of layers.
_MOST_EVIDENCE = 2


@dataclass(frozen=True)
class CauseTable:
    """Of one family, for any report. rows: a file with its answer, then its causes, the largest share first."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def of_records(records: Sequence[Record]) -> list[CauseTable]:
    """What records alone show, for the report of a comparison: neither what is fine nor what is only missing."""
    found = causes.explain(Evidence(records))
    told = [one for one in found if one.causes or (one.family in ("int8", "pruning") and one.concern >= 0.5)]
    return tables([replace(one, missing=tuple(each for each in one.missing if not each.is_file)) for one in told])


def tables(found: Sequence[Explanation]) -> list[CauseTable]:
    """Families in their order; what is missing is a row too."""
    made = []
    for family, title in TITLES.items():
        own = [one for one in found if one.family == family]
        rows = tuple(row for one in own for row in _rows(one))
        if rows:
            notes = tuple(dict.fromkeys(note for one in own for note in one.notes))
            made.append(CauseTable(title, rows, notes))
    return made


def _rows(one: Explanation) -> Iterator[tuple[str, ...]]:
    yield (one.subject, f"{one.answer}.")
    for cause in one.ranked:
        share = "" if cause.share is None else f", {cause.share:.0%} of the time"
        shown = "; ".join((cause.seen, *cause.evidence[:_MOST_EVIDENCE]))
        yield (f"\u2014 {cause.name}{share}", f"{shown}. To do: {cause.command}.")
    for missing in one.missing:
        yield ("\u2014 not known", f"{missing.what}. To do: {missing.command}.")


def show(found: Sequence[Explanation], console: Console) -> None:
    """Everything, each cause with its evidence."""
    from rich.markup import escape

    for family, title in TITLES.items():
        own = [one for one in found if one.family == family]
        if not own:
            continue
        console.print(f"\n[bold]{title}[/]")
        for one in own:
            console.print(escape(f"{one.answer} [{one.subject}]" if one.subject not in one.answer else one.answer))
            for cause in one.ranked:
                share = "" if cause.share is None else f" ({cause.share:.0%} of its time)"
                console.print(escape(f"  {cause.name}{share}: {cause.seen}"))
                for line in cause.evidence:
                    console.print(escape(f"      {line}"))
                console.print(escape(f"    -> {cause.command}"))
            for missing in one.missing:
                console.print(escape(f"  not known: {missing.what}"))
                console.print(escape(f"    -> {missing.command}"))
            for note in one.notes:
                console.print(escape(f"  {note}"))
