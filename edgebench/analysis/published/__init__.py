"""Figures that others published, one file a form, and what differs between one of them and a record here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from edgebench.analysis.published import aihub, benchncnn, mlperf_tiny, ours, typed, ultralytics
from edgebench.analysis.published.row import PublishedFigure, plain, precision_of, runtime_of
from edgebench.errors import UserError
from edgebench.files import untrusted
from edgebench.schema import record_files

_KIND = untrusted.Kind("a published row", 1, "Give a row as text, a record, or AI Hub's perf.yaml", 16 * 2**20)
_FORMS = {
    "✅": ultralytics.FORM,
    "min": benchncnn.FORM,
    "avg": benchncnn.FORM,
    "|": ultralytics.FORM,
    "inf": mlperf_tiny.FORM,
    "yaml": aihub.FORM,
    ".json": "results/TARGET/RECORD.json",
}

_SUFFIXES = (".json", ".yaml", ".yml", ".txt", ".md")


def parse(given: str) -> PublishedFigure:
    """A record's file, AI Hub's yaml, a text file with a row, or the row itself; `FILE#WORD,WORD` picks one of several.

    Raises UserError with the nearest right form.
    """
    name, _, picked = given.partition("#")
    path = Path(name)
    if _is_file(path):
        rows = _of_file(path)
        where = str(path)
    else:
        rows, picked, where = _of_text(given), "", "--against"
    if picked:
        every, rows = rows, _picked(rows, [word for word in picked.split(",") if plain(word)])
        if every and not rows:
            known = "; ".join(" ".join(filter(None, (one.model, one.device, one.runtime))) for one in every[:4])
            seen = f"none of its {len(every)} rows fits '{untrusted.shortened(picked)}'"
            raise UserError(where, seen, f"Pick one by other words, for example of: {known}")
    if len(rows) == 1:
        return rows[0]
    if rows:
        shown = "; ".join(
            " ".join(filter(None, (row.model, row.device, row.runtime, row.precision))) for row in rows[:4]
        )
        more = "; ..." if len(rows) > 4 else ""
        raise UserError(where, f"it has {len(rows)} rows that fit ({shown}{more})", "Pick one: FILE#WORD,WORD")
    if not _is_file(path) and path.suffix in _SUFFIXES:
        raise UserError(where, f"there is no file '{untrusted.shortened(name)}'", "Correct its path, or give the row")
    raise UserError(where, f"no row can be read in '{untrusted.shortened(given)}'", f"For example: {_nearest(given)}")


def _is_file(path: Path) -> bool:
    """A row may be longer than a file's name may be, which some systems answer with an error."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _picked(rows: list[PublishedFigure], words: list[str]) -> list[PublishedFigure]:
    """Rows that all words fit: a whole name of theirs if one fits so, else a part of one."""
    for word in words:
        names = [[plain(name) for name in (row.model, row.device, row.runtime, row.precision) if name] for row in rows]
        same = {plain(word), runtime_of(word), precision_of(word)}
        exact = [row for row, own in zip(rows, names, strict=True) if same & set(own)]
        rows = exact or [row for row, own in zip(rows, names, strict=True) if any(plain(word) in name for name in own)]
    return rows


def _of_file(path: Path) -> list[PublishedFigure]:
    if path.suffix == ".json":
        return [ours.of_record(record_files.load(path))]
    text = untrusted.read(path, _KIND).decode("utf-8", errors="replace")
    if path.suffix in (".yaml", ".yml"):
        return _of_yaml(path, text)
    return _of_text(text)


def _of_yaml(path: Path, text: str) -> list[PublishedFigure]:
    try:
        return aihub.read(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        seen = f"it is not YAML ({str(error).partition(chr(10))[0]})"
        raise UserError(str(path), seen, f"For example: {aihub.FORM}") from error


def _of_text(text: str) -> list[PublishedFigure]:
    """The first form that finds a row in it."""
    pairs = typed.read_pairs(text)
    if pairs is not None:
        return [pairs]
    readers: tuple[Callable[[str], list[PublishedFigure]], ...] = (benchncnn.read, ultralytics.read, mlperf_tiny.read)
    for read in readers:
        if rows := read(text):
            return rows
    words = [row for line in text.splitlines() if (row := typed.read_words(line))]
    if words or "inference_time" not in text:
        return words
    try:
        return aihub.read(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def _nearest(given: str) -> str:
    return next((form for sign, form in _FORMS.items() if sign in given.lower()), typed.FORM)
