"""Records as a pandas DataFrame, for notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebench.analysis import comparability, record_statistics, selection, statistics_cache, tidy
from edgebench.analysis.columns import COLUMNS, VALUES, Column, Kind
from edgebench.errors import MissingPackage
from edgebench.schema.record import Record, Round, Series

if TYPE_CHECKING:
    import pandas

_DTYPES: dict[Kind, str] = {"text": "object", "number": "float64", "count": "Int64", "flag": "boolean"}


def load(
    path_or_paths: str | PathLike[str] | Iterable[str | PathLike[str]] = "results", *, values: bool = False
) -> pandas.DataFrame:
    """Records as a tidy table: SI units in the names of the columns, missing where nothing was measured.

    Args:
        path_or_paths: Results folders, record files, files made by `edgebench publish`, or targets in `results/`.
        values: One row for each raw value, warm-up included, instead of one for each record.

    Returns:
        The columns that docs/results.md lists; `created` is a time in UTC.

    Raises:
        UserError: If a path is not there or a folder has no records. Damaged files become a warning.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise MissingPackage("edgebench.load", "pandas", "frame") from error
    named = [path_or_paths] if isinstance(path_or_paths, str | PathLike) else list(path_or_paths)
    found = selection.select(Path("results"), [str(name) for name in named], every=True)
    if found.skipped:
        first = found.skipped[0]
        warnings.warn(f"{len(found.skipped)} files were left out; the first: {first}", stacklevel=2)
    records = sorted(found.records, key=lambda record: (record.created, record.target.name, record.id))
    if values:
        return _of_values(list(map(statistics_cache.whole, records)))
    columns = {name: column for name, column in COLUMNS.items() if column.of_record}
    lines = [tidy.record_line(record_statistics.of(record)) for record in records]
    made = _frame(columns, {name: [_known(line[name]) for line in lines] for name in columns})
    made["created"] = pandas.to_datetime([comparability.moment(record) for record in records], utc=True)
    return made


def _known(value: Any) -> Any:
    return None if value == "" else value


def _frame(columns: dict[str, Column], content: dict[str, Any]) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame(
        {name: pandas.Series(content[name], dtype=_DTYPES[column.kind]) for name, column in columns.items()}
    )


def _of_values(records: Sequence[Record]) -> pandas.DataFrame:
    found = list(_all_series(records))
    counts = [len(one.values_ns) for _, _, one in found]
    values_s = np.array([value for _, _, one in found for value in one.values_ns], dtype=float) / 1e9

    def repeated(each: Sequence[Any], dtype: Any = object) -> Any:
        return np.repeat(np.array(each, dtype=dtype), counts)

    block = repeated([one.block for _, _, one in found], np.int64)
    content = {
        "record": repeated([record.id for record, _, _ in found]),
        "target": repeated([record.target.name for record, _, _ in found]),
        "artifact": repeated([record.artifact.name for record, _, _ in found]),
        "runtime": repeated([record.runtime.name for record, _, _ in found]),
        "phase": repeated([phase for _, phase, _ in found]),
        "round": repeated([one.number if isinstance(one, Round) else None for _, _, one in found]),
        "position": np.concatenate([np.arange(count) for count in counts] or [np.arange(0)]),
        "start_s": repeated([one.start_ns / 1e9 for _, _, one in found], float),
        "block": block,
        "value_s": values_s,
        "latency_s": values_s / block,
    }
    return _frame(VALUES, content)


def _all_series(records: Sequence[Record]) -> Iterator[tuple[Record, str, Series]]:
    for record in records:
        yield from ((record, "warmup", one) for one in record.warmup)
        yield from ((record, "round", one) for one in record.rounds)
