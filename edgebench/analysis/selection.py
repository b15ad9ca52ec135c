"""Which records a comparison is of: all runs of a file on a target are one series, and its newest run stands for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgebench.analysis import statistics_cache
from edgebench.analysis.comparability import moment
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.schema import publication
from edgebench.schema.record import Record
from edgebench.schema.record_files import LoadedRecords

# Target, artifact, runtime, threads: what is one series of runs.
SeriesKey = tuple[str, str, str, int]
_SINCE = "Give a date (--since 2026-11-01) or an age (--since 7d)"


@dataclass(frozen=True)
class Selection:
    """records: in the order of the table. series: all readable runs of each file, oldest first. skipped: files that are
    not records. older: the number of runs that are left out because newer ones stand for them. passed_over: newest runs
    without a value, for which an older one stands.
    """

    records: list[Record]
    series: dict[SeriesKey, list[Record]]
    skipped: list[BadFile]
    older: int = 0
    passed_over: tuple[Record, ...] = ()


def key(record: Record) -> SeriesKey:
    return record.target.name, record.artifact.name, record.runtime.name, record.target.threads


def since(typed: str, now: datetime | None = None) -> datetime:
    """`2026-11-01`, or an age: `7d`, `12h`. Raises UserError."""
    with suppress(ValueError):
        date = datetime.fromisoformat(typed)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    units = {"d": "days", "h": "hours"}
    with suppress(ValueError, KeyError, OverflowError):
        if (age := timedelta(**{units[typed[-1:]]: float(typed[:-1])})) >= timedelta():
            return (now or datetime.now(UTC)) - age
    raise UserError("--since", f"'{typed}' is neither a date nor an age", _SINCE)


def select(results: Path, named: Iterable[str], *, every: bool = False, after: datetime | None = None) -> Selection:
    """The records that the command line names: files, targets (the newest record of each artifact), or folders.

    A folder stands for every target in it, that of one target for this one; no names at all, for every target with
    results. Unreadable files are skipped, so the newest record is the newest readable one. every: all runs; after:
    those since then, all of them. Raises UserError if all are older.
    """
    targets = _targets(results)
    found: list[Selection] = []
    for name in list(named) or [str(results)]:
        if name in targets:
            found.append(_of_target(results, name, every=every, after=after))
        elif publication.is_publication(Path(name)):
            found += of_folder(Path(name), every=every, after=after)
        elif Path(name).is_file():
            loaded = statistics_cache.load_all([Path(name)])
            found.append(Selection(loaded.records, {}, loaded.skipped))
        elif Path(name).is_dir() or Path(name) == results:
            found += of_folder(Path(name), every=every, after=after)
        else:
            raise UnknownName(f"target with records in {results}", name, targets)
    chosen = joined(found)
    if after is not None and chosen.older and not chosen.records:
        raise UserError("--since", f"all {chosen.older:,} records are older than {after:%Y-%m-%d %H:%M} UTC", _SINCE)
    return chosen


def joined(found: Sequence[Selection]) -> Selection:
    """One after the other; runs of one series together. A file that was named twice is not two runs that agree."""
    series: dict[SeriesKey, list[Record]] = {}
    for one in found:
        for which, runs in one.series.items():
            series.setdefault(which, []).extend(runs)
    return Selection(
        _once(record for one in found for record in one.records),
        {which: _once(runs) for which, runs in series.items()},
        [error for one in found for error in one.skipped],
        sum(one.older for one in found),
        tuple(record for one in found for record in one.passed_over),
    )


def _once(records: Iterable[Record]) -> list[Record]:
    """Each file's record, where it came first."""
    found: dict[object, Record] = {}
    for one in records:
        found.setdefault(id(one) if one.path is None else (one.path.resolve(), one.id), one)
    return list(found.values())


def of_folder(folder: Path, *, every: bool = False, after: datetime | None = None) -> list[Selection]:
    """One for each target with results in it; or the folder is that of one target, or a publication.

    Raises UserError without records.
    """
    if publication.is_publication(folder):
        return _of_publication(folder, every=every, after=after)
    places = _places(folder)
    if not places:
        raise UserError(str(folder), "contains no records", "Measure something first: edgebench deploy")
    return [_of_target(results, target, every=every, after=after) for results, target in places]


def is_results_folder(name: str) -> bool:
    path = Path(name)
    return publication.is_publication(path) or (path.is_dir() and bool(_places(path)))


def _places(folder: Path) -> list[tuple[Path, str]]:
    """(results, target) for each target."""
    found = [(folder, target) for target in _targets(folder)]
    if not found and any(folder.glob("*.json")):
        own = folder.resolve()
        return [(own.parent, own.name)]
    return found


def _of_publication(path: Path, *, every: bool, after: datetime | None) -> list[Selection]:
    by_target: dict[str, list[Record]] = {}
    for record in sorted(publication.load(path), key=lambda one: one.created):
        by_target.setdefault(record.target.name, []).append(record)
    return [_chosen(LoadedRecords(records, []), every=every, after=after) for records in by_target.values()]


def _of_target(results: Path, target: str, *, every: bool, after: datetime | None) -> Selection:
    loaded = statistics_cache.load_all(sorted((results / target).glob("*.json")))
    return _chosen(loaded, every=every, after=after)


def _chosen(loaded: LoadedRecords, *, every: bool, after: datetime | None) -> Selection:
    series = runs(loaded.records)
    if after is not None:
        wanted = [one for one in loaded.records if (made := moment(one)) is not None and made >= after]
    else:
        wanted = list(loaded.records)
    if every or after is not None:
        kept = _in_reading_order(wanted)
        return Selection(kept, series, loaded.skipped, len(loaded.records) - len(kept))
    kept = newest(wanted)
    shown = {key(record): record for record in kept}
    passed_over = tuple(which[-1] for name, which in series.items() if which[-1] is not shown[name])
    return Selection(kept, series, loaded.skipped, len(loaded.records) - len(kept), passed_over)


def _targets(results: Path) -> list[str]:
    return list(dict.fromkeys(sorted(path.parent.name for path in results.glob("*/*.json"))))


def runs(records: Iterable[Record]) -> dict[SeriesKey, list[Record]]:
    """By series, in the given order."""
    series: dict[SeriesKey, list[Record]] = {}
    for record in records:
        series.setdefault(key(record), []).append(record)
    return series


def newest(records: Iterable[Record]) -> list[Record]:
    """The last record of each series, from records sorted by age; a model's files together.

    A run that was cut off before its first value says nothing of its file: the run before it stands, if it has any.
    """
    latest: dict[SeriesKey, Record] = {}
    for record in records:
        before = latest.pop(key(record), None)
        latest[key(record)] = before if before is not None and before.rounds and _was_cut_off(record) else record
    return _in_reading_order(latest.values())


def _was_cut_off(record: Record) -> bool:
    """Before its first value, and not by its own failure, which must be seen."""
    return not record.rounds and record.outcome.status != "failed"


def _in_reading_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=_reading_order)


def _reading_order(record: Record) -> tuple[str, str, int]:
    """A model's files together, the float ones before those made from them."""
    precisions = ["fp32", "fp16", "int8", "unknown"]
    artifact = record.artifact
    source = artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")
    return source, artifact.format, precisions.index(artifact.precision)
