"""Labels that distinguish records of the same artifact and target: runtimes, threads, dates, or their folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgebench.schema.record import Record

_TO_MINUTES_SECONDS_ALL = (5, 8, None)


def of(records: Sequence[Record]) -> list[str]:
    """For each record the shortest label that is unique for its artifact and target; empty if it needs none."""
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        alike[record.artifact.name, record.target.name].append(number)
    labels = [""] * len(records)
    for numbers in alike.values():
        for number, label in zip(numbers, _labels([records[number] for number in numbers]), strict=True):
            labels[number] = label
    return labels


def _labels(records: Sequence[Record]) -> list[str]:
    """Of one artifact on one target: runtime and threads where there are several, and what distinguishes the rest."""
    runtimes, threads = ({read(one) for one in records} for read in (_runtime, _threads))
    found = [[_runtime(one)] * (len(runtimes) > 1) + [_threads(one)] * (len(threads) > 1) for one in records]
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, parts in enumerate(found):
        alike[tuple(parts)].append(number)
    for numbers in alike.values():
        if len(numbers) > 1:
            for number, label in zip(numbers, _distinct([records[number] for number in numbers]), strict=True):
                found[number].append(label)
    return [" ".join(parts) for parts in found]


def _runtime(record: Record) -> str:
    return record.runtime.name


def _threads(record: Record) -> str:
    """As requested."""
    return f"{record.target.threads} thread{'s' if record.target.threads > 1 else ''}"


def of_sides(records: Sequence[Record], earlier: Sequence[Record]) -> list[str]:
    """For two result sets: the shortest name of each set's folder, the date of the run, and its commit if known.

    `main, 2026-11-29, 1c3c22f0a1b2`
    """
    is_earlier = {id(one) for one in earlier}
    sides = [next((one for one in records if (id(one) in is_earlier) is side), None) for side in (True, False)]
    parts = [_folder(one) if one else () for one in sides]
    found = next((kind for kind in _folders(parts) if len(set(kind)) == 2), ["earlier", "later"])
    names = dict(zip((True, False), found, strict=True))
    dated = [f"{names[id(one) in is_earlier]}, {_moment(one)[0]}" for one in records]
    return [f"{label}, {one.commit}" if one.commit else label for label, one in zip(dated, records, strict=True)]


def _distinct(records: Sequence[Record]) -> list[str]:
    """The shortest kind of label that is unique for each record."""
    kinds = [found for found in _kinds(records) if all(found) and len(set(found)) == len(records)]
    numbered = [f"#{number}" for number in range(1, len(records) + 1)]
    return min(kinds, key=lambda found: max(map(len, found)), default=numbered)


def _kinds(records: Sequence[Record]) -> Iterator[list[str]]:
    moments = [_moment(record) for record in records]
    dates = [date for date, _ in moments]
    times = [time for _, time in moments]
    yield dates
    if len(set(dates)) == 1:
        yield from ([time[:length] for time in times] for length in _TO_MINUTES_SECONDS_ALL)
    yield from ([f"{date} {time[:length]}" for date, time in moments] for length in _TO_MINUTES_SECONDS_ALL)
    yield from _folders([_folder(record) for record in records])


def _moment(record: Record) -> tuple[str, str]:
    """`20261129T100000.000Z` as (`2026-11-29`, `10:00:00.000`)."""
    date, _, time = record.created.partition("T")
    if not (date.isdigit() and len(date) == 8):
        return record.created, record.created
    return f"{date[:4]}-{date[4:6]}-{date[6:]}", f"{time[:2]}:{time[2:4]}:{time[4:].rstrip('Z')}"


def _folder(record: Record) -> tuple[str, ...]:
    """The results folder, without the target's own."""
    if record.path is None:
        return ()
    folder = record.path.parent
    return (folder.parent if folder.name == record.target.name else folder).parts


def _folders(folders: Sequence[tuple[str, ...]]) -> Iterator[list[str]]:
    """The folder at each depth from the end, then the ends themselves: `main` and `pr` of `ab/main/results`."""
    if not all(folders):
        return
    deepest = max(map(len, folders))
    for depth in range(1, deepest + 1):
        yield [parts[-depth] if depth <= len(parts) else "" for parts in folders]
    for depth in range(2, deepest + 1):
        yield [str(Path(*parts[-depth:])) for parts in folders]
